r"""The text of a mathematical answer: what is rewritten before it is read as LaTeX.

Each rule is one line of a table; they are applied in order.
"""

import re
from collections.abc import Callable, Sequence

SYMBOLS = str.maketrans(
    {
        **dict.fromkeys("\u2212\u2013\u2014\ufe63\uff0d", "-"),
        **{sign: f"^{{{digit}}}" for digit, sign in enumerate("⁰¹²³⁴⁵⁶⁷⁸⁹")},
        **dict.fromkeys("\u200b\u200c\u200d\u200e\u200f\u202a\u202b\u202c\u202d\u202e\ufeff", ""),
        **dict.fromkeys("\u2066\u2067\u2068\u2069", ""),
        **{"\u00a0": " ", "\u2009": " ", "\u202f": " ", "√": "\\sqrt "},
        **{"×": "\\times ", "·": "\\cdot ", "÷": "\\div ", "π": "\\pi ", "∞": "\\infty "},
        **{"≤": "\\le ", "≥": "\\ge ", "≠": "\\ne ", "±": "\\pm ", "°": "^{\\circ}"},
        **{"∪": "\\cup ", "∩": "\\cap ", "∈": "\\in ", "∅": "\\emptyset ", "θ": "\\theta "},
    }
)
"""Signs that stand for commands; marks that are not seen go."""

GROUP = r"\\(?:text\w*|mathrm|mbox|operatorname)\s*\{[^{}]*\}(?:\s*\^\s*(?:\{-?\d\}|\d))?"
UNITS = rf"(?:{GROUP}|\\frac\s*\{{{GROUP}\}}\s*\{{{GROUP}\}})"

Rule = tuple[str, str | Callable[[re.Match[str]], str]]


def _joined(match: re.Match[str]) -> str:
    return re.sub(r"[, ]", "", match[0])


def _repeating(match: re.Match[str]) -> str:
    whole, fixed, period = match.groups()
    nines = int("9" * len(period)) * 10 ** len(fixed)
    return rf"\frac{{{int(whole + fixed + period) - int(whole + fixed or 0)}}}{{{nines}}}"


TABLE: Sequence[Rule] = (
    # Delimiters, sizes and spaces. A row of a matrix ends with two backslashes.
    (r"\\?\$|(?<!\\)\\[()\[\]]|(?<!\\)\\!\s*", ""),
    (r"\\(?:left|right)\s*\.|\\(?:left|right|[bB]igg?[lr]?)(?![a-zA-Z])", ""),
    (r"(?<!\\)\\[,;: ]|~|\\q?quad(?![a-zA-Z])|\\displaystyle(?![a-zA-Z])|[\s\x00-\x1f]+", " "),
    (r"\{\s*,\s*\}", ","),
    (r"(?<=[(\[]) +| +(?=[)\]])", ""),
    (r"^[\s=:]+|[\s.,;:]+$", ""),
    # Degrees, arc seconds and percent signs are units, and so is text at the end.
    (r"\s*\^\s*\{?\s*\\circ\s*\}?\s*(?:\\(?:text|mathrm)\s*\{\s*[CF]\s*\}|[CF]\b)?", " "),
    (r"\\degrees?(?![a-zA-Z])", " "),
    (r"(?<=\d)\s*\^\s*\{?\s*(?:\\prime\s*)+\}?", " "),
    (r"\s*(?:\\?%|\\text\s*\{\s*\\?%\s*\}|\bpercent\b)", " "),
    (r"\\(?:mathrm|text)\s*\{\s*([eid])\s*\}", r"\1 "),
    (rf"(?<=[\w}})\]! ])\s*(?<=\S)\s*(?:{UNITS}(?:[\s/.*]|\\cdot)*)+$", ""),
    # 3.3e-10 and 4e33; but 2e-3 is three less than twice Euler's number.
    (r"(?<![\w.}])(\d*\.\d+|1)[eE]([-+]?\d{1,4})(?![\w.^])", r"\1 \\times 10^{\2}"),
    (r"(?<![\w.}])(\d+)[eE](\d{1,4}|[-+]\d{2,4})(?![\w.^])", r"\1 \\times 10^{\2}"),
    # Thousands, unless they may be elements of something in brackets; repeating decimals.
    (r"(?<![\d,(\[{.])\d{1,3}(?:,\d{3})+(?![\d)\]},])", _joined),
    (r"(?<![\d.])\d{1,3}(?: \d{3})+(?![\d ])", _joined),
    (r"(?<![\d.])(\d*)\.(\d*)\\overline\s*\{(\d+)\}", _repeating),
    # What the parser has no word for, or takes for something else.
    (r"\*\*", "^"),
    (r"\\langle(?![a-zA-Z])", "("),
    (r"\\rangle(?![a-zA-Z])", ")"),
    (r"\\varnothing(?![a-zA-Z])", r"\\emptyset"),
    (r"(?<=[a-zA-Z}])('+)", lambda match: "^{" + "\\prime" * len(match[1]) + "}"),
    (r"(?<![a-zA-Z\\])E(?=\s*_)", r"\\text{E}"),
    (r"\\gamma(?![a-zA-Z])", r"\\text{gamma}"),
    (r"(?<![a-zA-Z\\])d(?=\s*\\(?:end|cdot|times|sqrt|frac|pi|\\))", r"\\text{d}"),
    (r"\\log\s*_\s*(?:e(?![a-zA-Z])|\{\s*e\s*\})", r"\\ln "),
    (r"^\\(?:text\w*|mathrm|mathbf|mbox)\s*\{([^{}]*\d[^{}]*)\}$", r"\1"),
    (r"_\s*\{?\s*\\(max|min|odot|oplus)(?![a-zA-Z])\s*\}?", r"_{\1}"),
    (r"^[\s=:]+|[\s.,;:]+$", ""),
)
RULES = [(re.compile(pattern), replacement) for pattern, replacement in TABLE]


DEEPEST = 15
"""Brackets within brackets; the parser's time doubles with each."""
BRACKET = re.compile(r"(?<!\\)[{}()\[\]]")
WRAPPED = re.compile(r"\s*\\(?:text\w*|mathrm|mathbf|mbox|operatorname)\s*\{([^{}]*)\}\s*")
WORDS = re.compile(r"(?=.*[^\W\d_]{4})[^\W\d_]+(?:[ '-][^\W\d_]+)*")
PROSE = re.compile(r"(?<![\\a-zA-Z{])(?!and |or )[a-z]{2,} (?!and |or )[a-z]{2,}(?![a-zA-Z{(])")


def clean(text: str) -> str:
    r"""One way to write what can be written in several.

    Example::

        >>> [clean(text) for text in (r"$10{,}080$.", r"\left(1,2\right)", r"5~\mathrm{km}")]
        ['10080', '(1,2)', '5']
    """
    text = text.translate(SYMBOLS)
    for pattern, replacement in RULES:
        text = pattern.sub(replacement, text)
    return text


def is_sound(text: str) -> bool:
    """Whether braces are balanced and brackets not nested deeper than the parser can bear."""
    braces = depth = 0
    for bracket in BRACKET.findall(text):
        step = 1 if bracket in "{([" else -1
        depth = max(0, depth + step)
        braces += step if bracket in "{}" else 0
        if braces < 0 or depth > DEEPEST:
            return False
    return braces == 0


def has_percent(text: str) -> bool:
    """Whether the answer is given in percent."""
    return bool(re.search(r"%|\bpercent\b", text))


def unwrap(text: str) -> str:
    r"""The text within ``\text{...}``, where that is all there is."""
    match = WRAPPED.fullmatch(text)
    return match[1] if match else text


def is_words(text: str) -> bool:
    r"""Whether a cleaned answer is no mathematics: letters in text type, or a word of four."""
    inside = unwrap(text)
    in_text = inside != text and re.search(r"[^\W\d_]", inside) and not re.search(r"\d", inside)
    return bool(in_text or WORDS.fullmatch(text))


def is_prose(text: str) -> bool:
    """Whether there are sentences in it, which the parser would take for products of letters."""
    return bool(PROSE.search(text))


def fold(text: str) -> str:
    """Words without case, spacing, articles, and brackets or stops around them."""
    words = unwrap(text).casefold().strip(" ().,:;'\"").split()
    return " ".join(words[1:] if len(words) > 1 and words[0] in ("a", "an", "the") else words)
