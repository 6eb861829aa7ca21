"""Unicode spellings of a mathematical answer, written as LaTeX and ASCII."""

import re
import unicodedata
from functools import lru_cache

SYMBOLS = {
    **dict.fromkeys("\u2010\u2011\u2012\u2013\u2014\u2212\ufe63\uff0d", "-"),
    **dict.fromkeys("‘’ʹ´", "'"),
    **dict.fromkeys("“”", '"'),
    **{"′": "'", "″": "''", "√": r"\sqrt ", "∛": r"\sqrt[3] ", "∜": r"\sqrt[4] ", "⁄": "/"},
    **{"✕": r"\times ", "✖": r"\times ", "˚": r"^{\circ}", "「": "", "」": ""},
    **{"×": r"\times ", "·": r"\cdot ", "⋅": r"\cdot ", "∙": r"\cdot ", "÷": r"\div "},
    **{"∗": "*", "∕": "/", "∶": ":", "∣": "|", "∞": r"\infty "},
    **{"≤": r"\le ", "⩽": r"\le ", "≦": r"\le ", "≥": r"\ge ", "⩾": r"\ge ", "≧": r"\ge "},
    **{"≠": r"\ne ", "±": r"\pm ", "∓": r"\mp ", "°": r"^{\circ}", "º": r"^{\circ}"},
    **{"∪": r"\cup ", "∩": r"\cap ", "∈": r"\in ", "∅": r"\emptyset ", "∖": r"\setminus "},
    **{"ℝ": r"\mathbb{R}", "ℤ": r"\mathbb{Z}", "ℕ": r"\mathbb{N}", "ℚ": r"\mathbb{Q}"},
    **{"ℂ": r"\mathbb{C}", "≈": r"\approx ", "≃": r"\approx ", "≅": r"\cong ", "≡": r"\equiv "},
    **{"∨": " or ", "∧": " and ", "∠": r"\angle ", "△": r"\triangle ", "⊥": r"\perp "},
    **{"⇒": r"\implies ", "→": r"\to ", "…": r"\ldots ", "⋯": r"\cdots ", "。": ".", "、": ","},
    **{"¥": "¥", "￥": "¥", "✓": "", "✔": "", "✅": ""},
}
"""Signs that stand for something else than their compatible form, or that have none."""
RAISED = re.compile("[⁰¹²³⁴⁵⁶⁷⁸⁹⁺⁻ⁿⁱ]+")
RAISED_SIGN = re.compile(r"\s*\$?⁻\s?(?=[\d.])")
GREEK = re.compile(r"GREEK (SMALL|CAPITAL) LETTER (?:FINAL )?([A-Z]+)")
ROOT = re.compile(r"([√∛∜])\s*(\d+(?:\.\d+)?)")
ROOTS = {"√": r"\sqrt", "∛": r"\sqrt[3]", "∜": r"\sqrt[4]"}
LOWERED = re.compile("[₀₁₂₃₄₅₆₇₈₉₊₋]+")


def to_ascii(text: str) -> str:
    r"""The text with one spelling for each sign.

    Digits of any script, wide and styled letters become ASCII, powers and indices become ``^{...}``
    and ``_{...}``, fractions ``\frac``, circled numbers ``\textcircled``; what is not seen goes.

    Example::

        >>> to_ascii("x＝2¾, 10⁻³")
        'x=2\\frac{3}{4}, 10^{-3}'
    """
    if text.isascii():
        return text
    text = ROOT.sub(lambda root: f"{ROOTS[root[1]]}{{{root[2]}}}", text)
    # A minus sign that looks raised before a number.
    text = text.replace("⁻", "-") if RAISED_SIGN.match(text) else text
    text = RAISED.sub(lambda run: f"^{{{_folded(run[0])}}}", text)
    text = LOWERED.sub(lambda run: f"_{{{_folded(run[0])}}}", text)
    return "".join(map(_sign, text))


@lru_cache(maxsize=5000)
def _sign(sign: str) -> str:
    if sign.isascii() or sign in SYMBOLS:
        return SYMBOLS.get(sign, sign)
    category = unicodedata.category(sign)
    if category in ("Cf", "Cs", "Co", "Cn"):
        return ""
    if category in ("Zs", "Zl", "Zp", "Cc"):
        return " "
    if category == "Nd":
        return str(unicodedata.digit(sign))
    greek = GREEK.fullmatch(unicodedata.name(sign, ""))
    if greek:
        name = greek[2].casefold()
        return f"\\{name.capitalize() if greek[1] == 'CAPITAL' else name} "
    kind, _, _ = unicodedata.decomposition(sign).partition(" ")
    folded = unicodedata.normalize("NFKC", sign)
    if kind == "<fraction>" and folded[-1] != "⁄":
        top, _, bottom = folded.partition("⁄")
        return rf"\frac{{{top}}}{{{bottom}}}"
    if kind == "<circle>":
        return rf"\textcircled{{{folded}}}"
    if kind in ("<wide>", "<narrow>", "<font>", "<small>", "<compat>"):
        return "".join(map(_sign, folded))
    if "CIRCLED" in unicodedata.name(sign, "") and (number := unicodedata.numeric(sign, 0)):
        return rf"\textcircled{{{int(number)}}}"
    return sign


def _folded(run: str) -> str:
    return unicodedata.normalize("NFKC", run).replace("\u2212", "-")
