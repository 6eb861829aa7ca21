r"""How the text of a mathematical answer is rewritten: one line of a table for each rule, in order.

No rule repeats what may repeat itself, so that none takes long on any text.
"""

import re
from collections.abc import Callable, Sequence

from p2o.verifiers.choice_words import NOT, SUPPOSING, WRONG
from p2o.verifiers.math_words import SMALL

Rule = tuple[str, str | Callable[[re.Match[str]], str]]

TRIGONOMETRIC = re.compile(r"\\(?:sin|cos|tan|cot|sec|csc)(?![a-zA-Z])")
DEGREE = r"\s?\^\s?(?:\{\s?\\circ\s?\}|\\circ(?![a-zA-Z]))"
ATOM = r"(?:\d+(?:\.\d+)?|\([^()]{1,80}\)|\\[a-zA-Z]+|[a-zA-Z])"
FUNCTION = r"arcsin|arccos|arctan|sin|cos|tan|cot|sec|csc|exp|ln|log"
WRAPPERS = r"underline|fbox|framebox|emph|mathtt|ensuremath|colorbox\s?\{[^{}]*\}"
PAIR = r"\(([^(),]{1,80}),([^(),]{1,80})\)"
"""Two arguments of a function in a program."""
INNER = r"(?:[^{}\\]|\\(?!over(?![a-zA-Z]))|\{[^{}]{0,80}\}){1,80}"
"""What may stand in a group, which may hold groups."""
GREEK = r"\\(?:pi|alpha|beta|theta|lambda|mu|phi|omega)(?![a-zA-Z])"
LEAD = (
    r"(?i:(?:the\s)?(?:final\s|correct\s)?(?:answer|solution|result)\s?(?:is\s?:?|:|=)"
    r"|(?:approximately|approx\.?|about|roughly|around)(?=[\s}]))"
)


_TURNING = """
no than least most minus negative half twice thrice double triple third quarter square cube root
opposite
"""
TURNING = NOT | WRONG | SUPPOSING | set(_TURNING.split())
"""Words in front of an answer that make it another one."""


def joined(match: re.Match[str]) -> str:
    """A number without what is between its digits."""
    return re.sub(r"[,' ]", "", match[0])


def _repeating(match: re.Match[str]) -> str:
    whole, fixed, period = match.groups()[:3]
    return _repeating_of(whole, fixed, period)


def _repeating_of(whole: str, fixed: str, period: str) -> str:
    """A decimal whose last digits repeat, as a fraction."""
    nines = int("9" * len(period)) * 10 ** len(fixed)
    return rf"\frac{{{int(whole + fixed + period) - int(whole + fixed or 0)}}}{{{nines}}}"


def _rows(match: re.Match[str]) -> str:
    """Rows of an environment as a list, where each is an equation or there is but one."""
    rows = [row.replace("&", " ") for row in match[2].split("\\\\") if row.strip()]
    stated = all(re.search(r"[=<>]|\\[lg]e", row) for row in rows)
    if len(rows) == 1 and "&" not in match[2] and "=" not in match[2]:
        return rows[0].strip(" ,;")
    table = match[1] in ("array", "cases")
    if table and not (stated and ("cases" in match[1] or match[0].startswith("\\{"))):
        return match[0]
    return ", ".join(row.strip(" ,;") for row in rows)


def _introduced(match: re.Match[str]) -> str:
    """Nothing in place of "the area is", unless these words turn what follows."""
    words = set(re.findall(r"[a-z']+", match[1].casefold()))
    return match[0] if words & TURNING else ""


def _arc(match: re.Match[str]) -> str:
    """Degrees, minutes and seconds as one fraction of degrees."""
    degrees, minutes, seconds = (int(part or 0) for part in match.groups())
    return rf"\frac{{{degrees * 3600 + minutes * 60 + seconds}}}{{3600}}"


def _inward(match: re.Match[str]) -> str:
    """The interval ]a, b[ as (a, b)."""
    left, content, right = match.groups()
    return f"{'(' if left == ']' else '['}{content}{')' if right == '[' else ']'}"


def _choice(match: re.Match[str]) -> str:
    """Ways to choose some of many, C, or to put some of many in order, A or P."""
    many = int(match["n"] or match["below"] or match["n2"] or match["below2"])
    some = int(match["k"] or match["above"] or match["k2"] or match["above2"])
    if not 0 <= some <= many:
        return match[0]
    if (match["name"] or match["bare"]) == "C":
        return rf"\binom{{{many}}}{{{some}}}"
    return rf"\frac{{{many}!}}{{{many - some}!}}"


DENIED = {
    **{"=": "neq", r"\approx": "neq", r"\equiv": "neq", r"\in": "notin", "<": "geq", ">": "leq"},
    **{r"\le": "gt", r"\leq": "gt", r"\ge": "lt", r"\geq": "lt"},
}
"""What relations become that are struck through."""

TABLE: Sequence[Rule] = (
    # Delimiters, sizes and spaces. A row of a matrix ends with two backslashes.
    (r"\\\$\s?(?=[-+]?[\d.])", "USD "),
    (r"\\?\$|(?<!\\)\\[()\[\]]|(?<!\\)\\! *", ""),
    (
        r"\\not\s{0,3}(=|<|>|\\(?:approx|equiv|in|leq?|geq?)(?![a-zA-Z]))",
        lambda match: f"\\{DENIED[match[1]]} ",
    ),
    (r"=\s?/\s?=", r"\\neq "),
    (r"\\nleq(?:slant)?(?![a-zA-Z])", r"\\gt "),
    (r"\\ngeq(?:slant)?(?![a-zA-Z])", r"\\lt "),
    (r"\\(?:left|right|[bB]igg?[lr]?)\s?\.", ""),
    (r"\\(?:left|right|middle|[bB]igg?[lrm]?|limits|nolimits)(?![a-zA-Z])", ""),
    (r"\\(?:display|text|script)style(?![a-zA-Z])|\\[hv]space\s?\*?\{[^{}]*\}", " "),
    (r"\\(?:tiny|small|normalsize|large|Large|LARGE|huge|Huge|bf|rm|it|checkmark)(?![a-zA-Z])", ""),
    (r"\\textcolor\s?\{[^{}]*\}|\\color\s?\{[^{}]*\}|\\label\s?\{[^{}]*\}|\\q?qed(?![a-z])", ""),
    (r"(?<!\\)\\[,;: >]|\\q?quad(?![a-zA-Z])|\\n(?![a-zA-Z])|[\s\x00-\x1f]+", " "),
    (r"\\[hv]?phantom\s?\{[^{}]*\}|^\{\}|\{\}$", ""),
    *[(rf"\\(?:{WRAPPERS})\s?\{{([^{{}}]*)\}}", r"\1")] * 2,
    (r"^\\(?:therefore|implies|Rightarrow|rightarrow)(?![a-zA-Z])", ""),
    (r"(?:\\\\ ?){1,5}$", ""),
    (r"^(\*{1,3}|`{1,3}|')([^*`']*)\1$", r"\2"),
    (r"(?<![\^_])\{\s?([-+])\s?\}", r"\1"),
    (r":=", "="),
    (r"\\colon(?![a-zA-Z])", ":"),
    (r"\\ast(?![a-zA-Z])", r"\\times "),
    (r"\^\s?([-+]\d{1,6}(?!\d))", r"^{\1}"),
    (r"(?<=[\w)}\]])~|~(?=[\w\\])", " "),
    (r"  +", " "),
    (r"\{\s?,\s?\}", ","),
    (r"(?<=[(\[]) +| +(?=[)\]])", ""),
    (r"\\textdollar(?![a-zA-Z])|^\\(?:text|mathrm)\s?\{\s?USD\s?\}", "USD "),
    (r"^((?:Rs|INR)\.?\s?[\d,.]+)\s?/\s?-$", r"\1"),
    (r"\\(?:pounds|textsterling)(?![a-zA-Z])", "£"),
    (r"\\(?:euro|texteuro)(?![a-zA-Z])", "€"),
    # Bold and vectors, and environments that hold a line or a list.
    (
        r"\\(?:mathbf|boldsymbol|bm|pmb|hat|vec|overrightarrow)\s?\{\s?\\?([ijk])m?(?:ath)?\s?\}",
        r"\\vec{\1}",
    ),
    (
        r"(^|\\in(?![a-zA-Z])\s?)\\(?:mathbf|mathrm|bf|rm)\s?\{?\s?([RZQN])\s?\}?(?=$|\s?[\\,;|:])",
        r"\1\\mathbb{\2}",
    ),
    (r"(\\in(?![a-zA-Z])\s?)([RZQN])(?=$|\s?[\\,;|:])", r"\1\\mathbb{\2}"),
    (r"\\(?:mathbf|boldsymbol|bm|pmb|mathit)\s?\{([^{}]*)\}", r"\1"),
    (r"\\(?:boldsymbol|bm|pmb)(?=\s?[{\\\d])", ""),
    (
        r"(?:\\\{ ?)?\\begin\{(aligned|align\*?|gathered|split|equation\*?|array|cases)\}"
        r"(?:\{[lcr|]*\})?((?:(?!\\begin).){0,2000}?)\\end\{\1\}",
        _rows,
    ),
    # What is said in text.
    *[(r"(\\(?:mathrm|text)\s?\{[a-zA-Z ./^\d-]{0,40})\^\{(-?\d)\}", r"\1^\2")] * 3,
    (r"\\(?:text\w*|mathrm|mbox|operatorname)\s?\{([^\w{}]*)\}", r"\1"),
    (r"\\(?:text\w*|mathrm|mbox)\s?\{\s?(,?\s?(?:and|or))\s?\}|\s(and|or)(?=\s)", r" \1\2 "),
    (r"\\(?:lor|vee)(?![a-zA-Z])|\s?(?:或者?|或)\s?", " or "),
    (r"\\(?:land|wedge)(?![a-zA-Z])|\s?[和且]\s?", " and "),
    (rf"^\\(?:text\w*|mathrm|mbox)\s?\{{\s?{LEAD}\s?([^{{}}]+)\}}$", r"\1"),
    (r"(?i)^\\(?:text\w*|mathrm|mbox)\s?\{\s?(?:final )?answer\s?\}\s?[:=]", ""),
    (rf"^(?:\\(?:text\w*|mathrm|mbox)\s?\{{\s?)?{LEAD}\s?\}}?(?=.)", ""),
    (r"^(?:\\approx|\\sim|\\simeq|\\doteq|~)(?![a-zA-Z])", ""),
    (
        r"^\\(?:text|mathrm|mbox)\s?\{\s?([^{}\d]{1,60})(?:\s(?:is|are|equals)|=)\s?:?\s?\}(?=.)",
        _introduced,
    ),
    (
        rf"\\(?:operatorname\s?\*?|text|mathrm)\s?\{{\s?({FUNCTION})\s?\}}",
        r"\\\1 ",
    ),
    # Bases in words, and sets of numbers without 0 or below it.
    (
        r"_\s?\{?\s?\\(?:text|mathrm)\s?\{\s?([a-z]{3,9})\s?\}\s?\}?",
        lambda match: f"_{{{SMALL[match[1]]}}}" if match[1] in SMALL else match[0],
    ),
    (r"(\\mathbb\s?\{R\})\s?-\s?(?=\\\{)", r"\1 \\setminus "),
    (
        r"\\mathbb\s?\{R\}\s?\^\s?\{?\s?(?:\*|\\times(?![a-zA-Z]))\s?\}?$",
        r"(-\\infty,0)\\cup(0,\\infty)",
    ),
    (r"\\mathbb\s?\{R\}\s?[\^_]\s?(?:\+|\{\s?\+\s?\})$", r"(0,\\infty)"),
    # Degrees, arc seconds and percent signs are units.
    (
        rf"(\d+){DEGREE}\s?(\d+)\s?(?:'|\^\s?\{{?\\prime\}}?)(?:\s?(\d+)\s?(?:''|\^\s?\{{?\\prime\\prime\}}?))?",
        _arc,
    ),
    (rf"{DEGREE}$", r" \\text{degree}"),
    (rf"{DEGREE}\s?(?:\\(?:text|mathrm)\s?\{{\s?[CF]\s?\}}|[CF]\b)?", " "),
    (r"\\degrees?(?![a-zA-Z])", " "),
    (
        r"(?<=\d)\s?(?:\^\s?(?:\{\s?(?:\\prime\s?){1,3}\}|\\prime(?![a-zA-Z]))|'(?!['\d]))",
        r" \\text{prime}",
    ),
    (r"(?<=\d)\s?''(?!['\d])", r" \\text{inch}"),
    (
        r"\\(?:text|mathrm)\s?\{\s?(?:\\?%|per[ -]?cent|pct\.?)\s?\}"
        r"|\s?\\?%|\b(?:per[ -]cent|pct)\b",
        r" \\text{percent}",
    ),
    (r"\\(?:mathrm|text)\s?\{\s?([eid])\s?\}", r"\1 "),
    (r"(\\equiv\s?-?\d+)\s?\\b?mod(?![a-zA-Z])\s?\{?\s?(\d+)\s?\}?", r"\1 \\pmod{\2}"),
    # 3.3e-10 and 4e33; but 2e-3 is three less than twice Euler's number.
    (r"(?<![\w.}])(\d*\.\d+|1)[eE]([-+]?\d{1,4})(?![\w.^])", r"\1 \\times 10^{\2}"),
    (r"(?<![\w.}])(\d+)[eE](\d{1,4}|[-+]\d{2,4})(?![\w.^])", r"\1 \\times 10^{\2}"),
    (r"(?<=\d) ?[xX] ?(?=10\s?\^)", r"\\times "),
    # Repeating decimals.
    (
        r"(?<![\d.])(\d{0,20})\.(\d{0,20})\\dot\s?\{?\s?(\d)\s?\}?(\d{0,20})\\dot\s?\{?\s?(\d)\s?\}?",
        lambda match: _repeating_of(match[1], match[2], match[3] + match[4] + match[5]),
    ),
    (
        r"(?<![\d.])(\d*)\.(\d*)\\(?:overline|bar|dot)\s?(?:\{\s?)?(\d+(?=\s?\})|\d)\s?\}?",
        _repeating,
    ),
    (r"(?<![\d.])(\d{0,20})\.(\d{0,20})\((\d{1,12})\)(?![\d^!])", _repeating),
    (
        r"(?<![\d.])(\d*)\.(\d{0,12}?)(\d{1,6}?)\3{2,9}(?:\\[lc]?dots(?![a-zA-Z])|\.\.\.)",
        _repeating,
    ),
    (r"(?<=\d\d)(?:\\[lc]?dots(?![a-zA-Z])|\.\.\.)$", ""),
    # Names of functions as programs and other countries write them.
    (r"(?<![\d.\\\w'])\d{1,3}(?:'\d{3})+(?![\d'])", joined),
    (r"(?<![a-zA-Z\\])a(sin|cos|tan)(?=\s?\()", r"\\arc\1"),
    (r"(?<![a-zA-Z\\])log(2|10)(?=\s?\()", r"\\log_{\1}"),
    (r"(?<![a-zA-Z\\])cbrt\s?\(([^()]{1,200})\)", r"\\sqrt[3]{\1}"),
    (r"(?<![a-zA-Z\\])factorial\s?\((\d{1,9}|[a-z])\)", r"\1!"),
    (rf"(?<![a-zA-Z\\])pow\s?{PAIR}", r"(\1)^{\2}"),
    (rf"(?<![a-zA-Z\\])(?:binom|binomial|comb)\s?{PAIR}", r"\\binom{\1}{\2}"),
    (rf"(?<![a-zA-Z\\])(?:Fraction|Rational)\s?{PAIR}", r"\\frac{\1}{\2}"),
    (rf"(?<![a-zA-Z\\])({FUNCTION})(?=\s?\()", r"\\\1"),
    (r"(\\(?:max|min|gcd|lcm))\s?\\\{([^{}|:]{1,80})\\\}", r"\1(\2)"),
    # The real root.
    (
        r"\\sqrt\s?\[\s?([3579])\s?\]\s?\{\s?-\s?(\d+(?:\.\d+)?|\\frac\s?\{\d+\}\s?\{\d+\})\s?\}",
        r"(-\\sqrt[\1]{\2})",
    ),
    (r"(?<![a-zA-Z\\])\\?sqrt\s?\(((?:[^()]|\([^()]{0,80}\)){1,200})\)", r"\\sqrt{\1}"),
    (r"\\sqrt\s?\[\s?(\d)\s?\]\s?(\w)", r"\\sqrt[\1]{\2}"),
    (r"(?<![a-zA-Z\\])abs\(([^()]{1,200})\)", r"|\1|"),
    (r"(?<![a-zA-Z\\])(?:infinity|infty|inf|oo)(?![a-zA-Z])", r"\\infty "),
    (r"(?<![a-zA-Z\\])pi(?![a-zA-Z])", r"\\pi "),
    (r"\\lg(?![a-zA-Z])", r"\\log_{10}"),
    (r"\\log\s?_\s?(?:e(?![a-zA-Z])|\{\s?e\s?\})", r"\\ln "),
    (
        r"(?:\\(?:mathrm|text)\s?\{\s?(?P<name>[CAP])\s?\}|(?<![a-zA-Z\\])(?P<bare>C))"
        r"\s?(?:_\s?(?:(?P<n>\d)|\{\s?(?P<below>\d+)\s?\})\s?\^\s?(?:(?P<k>\d)|\{\s?(?P<above>\d+)\s?\})"
        r"|\^\s?(?:(?P<k2>\d)|\{\s?(?P<above2>\d+)\s?\})\s?_\s?(?:(?P<n2>\d)|\{\s?(?P<below2>\d+)\s?\}))",
        _choice,
    ),
    (r"(?:\{\}\s?)?(?<![\w)}])\^\s?\{?(\d+)\}?\s?C\s?_\s?\{?(\d+)\}?", r"\\binom{\1}{\2}"),
    (r"(?:\{\}\s?)?_\s?\{?(\d+)\}?\s?C\s?_\s?\{?(\d+)\}?", r"\\binom{\1}{\2}"),
    (r"(?<![a-zA-Z\\])C\s?\(\s?(\d+)\s?,\s?(\d+)\s?\)", r"\\binom{\1}{\2}"),
    (r"\)\s?(?=\([^,()]{1,200}\))", r")\\cdot "),
    (r"\\(?:nice|s|flat|x)frac(?![a-zA-Z])", r"\\frac"),
    (r"\\([dtc]?(?:frac|binom))\s?(\d)\s?(\d)", r"\\\1{\2}{\3}"),
    (
        r"\\[dtc]?frac\s?(\{[^{}]{1,200}\}|\d|(?<= )[a-zA-Z])\s?(\{[^{}]{1,200}\}|[a-zA-Z\d])",
        lambda match: "\\frac" + "".join(f"{{{part.strip('{}')}}}" for part in match.groups()),
    ),
    *[
        (
            rf"\{{({INNER})\\over(?![a-zA-Z])\s?({INNER})\}}",
            r"\\frac{\1}{\2}",
        )
    ]
    * 2,
    (r"(?<=\d)\s?(?=\\[dt]?binom)", r"\\cdot "),
    (r"(\\[dt]?binom\s?\{[^{}]*\}\s?\{[^{}]*\})\s?(?=\d)", r"\1\\cdot "),
    (r"\)\s?(?=\d|\\(?:d?frac|sqrt|pi|binom)(?![a-zA-Z]))", r")\\cdot "),
    (rf"\\[dtc]?frac\s?({GREEK})\s?(\d|{GREEK})", r"\\frac{\1}{\2}"),
    (rf"\\[dtc]?frac\s?(\d)\s?({GREEK})", r"\\frac{\1}{\2}"),
    (r"\*\*", "^"),
    # A factor in brackets; the parser would add it, as in a mixed number.
    (r"(?<![_^{\d.a-zA-Z])(\d+(?:\.\d+)?)\s?(?=\((?![a-zA-Z]{3}))", r"\1\\cdot "),
    # What the parser has no word for, or takes for something else.
    (r"\\langle(?![a-zA-Z])", "("),
    (r"\\rangle(?![a-zA-Z])", ")"),
    (r"\\(?:varnothing|oslash)(?![a-zA-Z])|\\\{\s?\\\}", r"\\emptyset "),
    (
        r"\^\s?\{?\s?\\(?:text|mathrm)\s?\{\s?(st|nd|rd|th)\s?\}\s?\}?|(?<=\d)\s?\^\s?\{\s?(st|nd|rd|th)\s?\}",
        lambda match: rf"\text{{{match[1] or match[2]}}}",
    ),
    (
        r"(?:^|(?<=\\cup)) ?([\[\]])([^\[\]()]{1,80},[^\[\]()]{1,80})([\[\]])(?= ?(?:$|\\cup))",
        _inward,
    ),
    (r"(?<=[a-zA-Z}])('+)", lambda match: "^{" + "\\prime" * len(match[1]) + "}"),
    (r"(?<![a-zA-Z\\])E(?=\s?_)", r"\\text{E}"),
    (r"\\gamma(?![a-zA-Z])", r"\\text{gamma}"),
    (r"(?<![a-zA-Z\\])d(?=\s?\\(?:end|cdot|times|sqrt|frac|pi|\\))", r"\\text{d}"),
    (r"^\\(?:text\w*|mathrm|mbox)\s?\{([^{}]*\d[^{}]*)\}$", r"\1"),
    (r"_\s?\{?\s?\\(max|min|odot|oplus)(?![a-zA-Z])\s?\}?", r"_{\1}"),
    (r"  +", " "),
)
