r"""What stands behind a number: units, which may be left out, and words that may not."""

import re
from dataclasses import dataclass
from fractions import Fraction

from p2o.verifiers.math_unit_table import measure, unit
from p2o.verifiers.math_words import GROUP, PARTS, SCALES, SMALL, scale_of, singular

LETTERS = frozenset("mgshlLJWNVKA")
"""Units of one letter; in bare type they could be variables."""

_TURNING = """
not no non never none neither nor or and but also if unless except only without than more less
fewer greater larger smaller least most over under above below about around nearly almost minus
plus times negative wrong incorrect false untrue invalid is are was were isn't aren't be does
doesn't cannot can't can either maybe perhaps possibly probably half squared cubed factorial mod
modulo remainder rem base root power log impossible reject rejected extraneous error instead
rather actually unknown undefined mistake guess i we it because since
"""
TURNING = frozenset(_TURNING.split())
"""Words that turn or change what stands before them, even where the question has them."""
MULTIPLES = frozenset(
    ["pair", "couple", "trio", "score", "ten", "gross", "mil", "MM", "M", "B", "K"]
)
"""Words that may multiply a number, so that it is another one without them."""
FOREIGN_TURNING = re.compile(
    "[不非否错误无未负零半倍]|大于|小于|多于|少于|以上|以下|至|到|左右|分之|倒数"
)
_HARMLESS = """
the a an of in per total each long approximately square exactly altogether away tall wide high
deep old
"""
HARMLESS = frozenset(_HARMLESS.split())
"""Words that say nothing."""
_COUNTED = """
sq cu cubic for on / different distinct possible such from now ad ce celsius whole positive
way integer number solution value digit element item object thing people person student child boy
girl member player team point case outcome combination arrangement permutation set subset triple
function sequence divisor factor triangle rectangle line edge vertex face side region page
book card ball marble coin apple game vote time
个 名 人 位 种 次 只 条 本 张 块 颗 天 年 月 日 岁 小时 分钟 分 秒 米 厘米 毫米 千米 公里 平方米
平方厘米 立方米 立方厘米 克 千克 公斤 吨 升 毫升 度
"""
COUNTED = frozenset(_COUNTED.split())
"""What is counted, in the singular, where the gold answer does not say it."""

FOREIGN_SCALE = re.compile(r"(?<![^\W\d十百千万萬亿億])([十百万萬亿億]|千(?![米克瓦升]))")

POWER = r"(?:\s*\^\s*(?:\{\s*-?\d\s*\}|\d)|[²³])"
FRACTION = re.compile(
    r"\\[dt]?frac\s*\{\s*\\(?:text\w*|mathrm)\s*\{([^{}]*)\}\s*\}"
    r"\s*\{\s*\\(?:text\w*|mathrm)\s*\{([^{}]*)\}\s*\}"
)
PIECE = re.compile(
    rf"(?P<group>{GROUP.pattern})(?P<power>{POWER}?)"
    r"|(?P<brackets>[(\[]\s*[a-zA-Z][a-zA-Z ]{2,60}[)\]])"
    r"|(?P<space>[\s./*~-]|\\cdot(?![a-zA-Z]))|(?P<command>\\[a-zA-Z]+)"
    rf"|(?P<word>[a-zA-Z]+(?:\.(?=\s|$))?)(?P<exponent>{POWER}?)"
    r"|(?P<sign>[¢€£¥₹])|(?P<foreign>[^\W\d_a-zA-Z]+)"
    r"|(?P<other>.)",
    re.DOTALL,
)
PREFIX = re.compile(
    r"^([-+]?)\s*(?:\\text\{\s*)?(?:(US|Rs|INR|[¢€£¥₹])(?:\.|\\?\$|\})?)\s*(?=[-\d.])"
)
DOLLAR = re.compile(r"^([-+]?)\s*USD\s+(?=[-\d.])")


@dataclass(frozen=True)
class Quantity:
    """A cleaned answer in two parts.

    Attributes:
        core: The mathematics.
        scale: What number words behind it multiply it by: a million.
        words: The rest of the text behind it, word by word.
    """

    core: str
    scale: int = 1
    words: tuple[str, ...] = ()


def read_quantity(text: str, letters: bool = False) -> Quantity:
    r"""A cleaned answer with the words behind it apart.

    Args:
        text: As `p2o.verifiers.math_text.clean` returns it.
        letters: Whether a single letter in bare type may be a unit; it could be a variable.

    Example::

        >>> read_quantity(r"1.2 \text{ million miles}")
        Quantity(core='1.2', scale=1000000, words=('miles',))
    """
    text, words = _without_currency(FRACTION.sub(r"\\text{\1/\2}", text))
    pieces = list(PIECE.finditer(text))
    start = len(pieces)
    for index in range(len(pieces) - 1, -1, -1):
        kind = pieces[index].lastgroup
        if kind == "space":
            continue
        if not _is_tail(pieces, index, letters):
            break
        start = index
    core = text[: pieces[start].start()] if start < len(pieces) else text
    core = core.rstrip(" ~./*") if start < len(pieces) else core.strip()
    if not core or not re.search(r"[\w)}\]|!]$", core):
        return Quantity(text.strip(), words=words)
    words = (*_words(text[len(core) :]), *words)
    scale = 1
    while words and (factor := scale_of(words[0])):
        scale, words = scale * factor, words[1:]
    return Quantity(core.strip(), scale, words)


def _without_currency(text: str) -> tuple[str, tuple[str, ...]]:
    """The text without a sign of a currency in front of its number, and the currency."""
    match = PREFIX.match(text)
    if match:
        currency = "dollar" if match[2] == "US" else match[2]
        return match[1] + text[match.end() :], (currency,)
    match = DOLLAR.match(text)
    return (match[1] + text[match.end() :], ("dollar",)) if match else (text, ())


def _is_tail(pieces: list[re.Match[str]], index: int, letters: bool) -> bool:
    """Whether a piece can be a word behind the mathematics."""
    piece = pieces[index]
    if piece["group"] is not None:
        content = GROUP.fullmatch(piece["group"])
        # The e of 5 e is Euler's number, in whatever type.
        return content is not None and bool(
            re.fullmatch(r"[^\d{}=+<>^_\\,;]*(?:[\^/][\^\d/a-zA-Z .-]*)?", content[1])
            and re.search(r"[^\W\d_]|[¢€£¥₹]", content[1])
            and content[1].strip() not in ("e", "i", "d", "mod")
        )
    if piece["brackets"] or piece["sign"] or piece["foreign"]:
        return index > 0
    word = piece["word"]
    if not word or index == 0:
        return False
    word = word.rstrip(".")
    if len(word) == 1:
        before = pieces[index - 1]
        spaced = before.lastgroup == "space" and before[0] != "-"
        return word in LETTERS and spaced and (letters or _is_compound(pieces, index))
    if word in ("th", "st", "nd", "rd"):
        return piece.start() > 0 and piece.string[piece.start() - 1].isdigit()
    if unit(word) is not None or scale_of(word) or word in ("per", "sq", "cu"):
        return True
    if piece["exponent"]:
        return False
    before = pieces[index - 1]
    spaced = before.lastgroup == "space" and before[0].isspace()
    known = word in HARMLESS | TURNING or (len(word) >= 3 and re.search("[aeiou]", word))
    return bool(spaced and known)


def _is_compound(pieces: list[re.Match[str]], index: int) -> bool:
    """Whether a letter belongs to a unit such as km/h or m/s behind a plain number."""
    near = [piece[0].rstrip(".") for piece in pieces[max(0, index - 3) : index + 3]]
    other = [word for word in near if word != pieces[index][0] and unit(word) is not None]
    return "/" in near and bool(other)


def _words(tail: str) -> tuple[str, ...]:
    tail = GROUP.sub(lambda match: f" {match[1]} ", tail)
    tail = FOREIGN_SCALE.sub(r"\1 ", tail)
    tail = re.sub(r"\\cdot|[()\[\]~.*]|(?<=[a-zA-Z])-(?=[a-zA-Z])", " ", tail)
    tail = re.sub(r"\s*\^\s*\{?\s*(-?\d)\s*\}?", r"^\1", tail.replace("/", " / "))
    return tuple(tail.replace("²", "^2").replace("³", "^3").split())


def ratio_of_units(
    gold: tuple[str, ...], answer: tuple[str, ...], asked: frozenset[str] = frozenset()
) -> Fraction | None:
    """What a number with one unit is to be multiplied by to have the other; None if they differ.

    A unit that is missing on one side is the other's, unless it may multiply the number. A word
    that the gold answer lacks is a unit, a harmless word or one of the question's. Where both have
    some, one must say no more than the other.
    """
    if not gold or not answer:
        may_lack = not any(_multiplies(word, asked) for word in gold)
        same = may_lack and all(_adds_nothing(word, asked) for word in answer)
        return Fraction(1) if same else None
    one, other = measure(gold), measure(answer)
    if one is not None and other is not None:
        if not one[0] or not other[0]:
            return Fraction(1)
        return other[1] / one[1] if one[0] == other[0] else None
    known, given = (
        {singular(word.casefold()) for word in words} - HARMLESS for words in (gold, answer)
    )
    fewer = known > given and not any(_turns(w) or _multiplies(w, asked) for w in known - given)
    more = known < given and all(_adds_nothing(word, asked) for word in given - known)
    return Fraction(1) if known == given or fewer or more else None


def _adds_nothing(word: str, asked: frozenset[str]) -> bool:
    """Whether a word can stand behind a number without a word on it in the gold answer."""
    name = singular(word.casefold())
    if _multiplies(word, asked):
        return False
    if name in HARMLESS | COUNTED or measure((word,)) is not None:
        return True
    return not _turns(word) and (name in asked or word in asked)


def _multiplies(word: str, asked: frozenset[str]) -> bool:
    """Whether a number with a word is another one than without, if it is not what is asked for."""
    name = singular(word.casefold())
    multiple = {word, name} & MULTIPLES or name in SCALES.keys() | PARTS.keys()
    return bool(multiple) and not {word, name} & asked


def _turns(word: str) -> bool:
    forms = {word, word.casefold(), singular(word.casefold())}
    return bool(
        forms & (TURNING | SMALL.keys() | SCALES.keys() | PARTS.keys())
        or FOREIGN_TURNING.search(word)
    )
