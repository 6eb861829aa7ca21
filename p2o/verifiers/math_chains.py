r"""Chains of equalities, ``x = 5 + 6 = 11`` or ``\sqrt{2} \approx 1.414``, and what they say."""

import re
from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import Any

from p2o.verifiers.math_algebra import read
from p2o.verifiers.math_split import EQUAL_SIGN, RELATION, outside, split
from p2o.verifiers.math_text import squeeze
from p2o.verifiers.math_units import TURNING, read_quantity
from p2o.verifiers.math_values import as_number, numbers_equal, to_fraction
from p2o.verifiers.math_words import without_groups
from p2o.verifiers.plain_number import is_rounding, read_plain

Equal = Callable[[str, str], bool]

CALL = re.compile(
    r"\\?[a-zA-Z]+\s?(?:\{[a-zA-Z]+\})?(?:_\w|_\{[^{}]*\}|\^\{[^{}]*\}){0,3}\s?\(.*\)", re.DOTALL
)
"""A function of something."""
COMMANDS = """
angle triangle overline bar vec overrightarrow widehat hat mathbb mathcal mathbf operatorname max
min sup inf lim gcd lcm sin cos tan cot sec csc arg det dim deg Re Im sum prod int frac dfrac cdot
times mid to cup cap prime
alpha beta gamma delta epsilon varepsilon theta vartheta lambda mu nu rho sigma xi psi eta
chi zeta kappa tau phi varphi omega Delta Gamma Theta Lambda Sigma Phi Omega
"""
TOKENS = re.compile(
    rf"(?![\s+-])(?:\\(?:{'|'.join(COMMANDS.split())})(?![a-zA-Z])|[^\W\d_]|[\s(){{}},:;'/#|+-]"
    r"|\\[#|]|\[[A-Z]{3,8}\]|\^\{?(?:\\prime\s?)+\}?)*"
)
"""What names are made of: letters, and signs and commands that leave a value what it is."""
SIZE = re.compile(r"\|\s*[+-]?\s*[a-y]\s*\|")
"""The size of one variable, which is not the variable."""
INTEGRAL = re.compile(r"\\int.{1,80}?(?<![a-zA-Z\\])[fghFG]\s?\(\s?[a-z]\s?\).{0,80}")
"""An integral of a function that is not said, and so a name of its value."""
OPERATOR = re.compile(r"\\?(?:ln|lg|log|exp|sqrt|not|neg)(?![a-zA-Z])")
_IN_NAMES = """
is are was were be least most greater larger smaller fewer more less than above below over under
base root power remainder and or
"""
REFUSING = TURNING - frozenset(_IN_NAMES.split())
"""Words with which a text is no name."""
UNSAID = re.compile(r"_\s?(?:\{[^{}]*\}|\w)|\^\{?-1\}?|\\(?:text\w*|mathrm)\s?\{[^{}]*\}")
"""Indices and text, whose digits are no numbers."""
UNKNOWN = re.compile(r"(?<![a-zA-Z\\])(?!d[a-z])[a-z]{1,2}(?![a-zA-Z])")
"""One variable or a product of two; not a differential."""
QUOTIENT = re.compile(r"[/:,]|\\[dt]?frac(?![a-zA-Z])")
ARGUMENT = re.compile(r"\((\d+)\)")
GRAPH = re.compile(r"[a-zA-Z]\s?\(\s?x\s?\)|y")
SUM = re.compile(r"(?:[\d\s.()+*/-]|\\(?:times|cdot|div)(?![a-zA-Z]))+")
"""A calculation in figures, or a number."""
DECIMAL = re.compile(r"-?\d*(?:\.(\d+))?")


def members(text: str) -> list[str]:
    """Members of a chain; the text alone when it is none."""
    if outside(text, RELATION):
        return [text]
    return [member for member in split(text, EQUAL_SIGN) if member] or [text]


def without_name(text: str) -> str:
    """What x = even says of x."""
    chain = members(text)
    return chain[1] if len(chain) == 2 and _is_name(chain[0]) else text


def chains_agree(gold: str, answer: str, equal: Equal) -> bool | None:
    """Whether a chain says what another one does, or a value; None where that takes algebra.

    Numbers in a chain must be equal, or one the other rounded. A false chain says nothing. A gold
    answer such as 2 + 2 = 4 is a statement and no number, while 3/4 = 0.75 is one in two spellings.
    """
    known, given = members(gold), members(answer)
    if len(known) == len(given) == 1:
        return None
    numbers, others = _numbers(known), _numbers(given)
    if not _is_true(numbers) or not _is_true(others):
        return False
    if len(known) > 1 and len(given) > 1:
        return _both_agree(known, given, numbers, others, equal)
    if len(known) > 1:
        if _is_calculation(known, numbers):
            return False
        said = _values(known, numbers, strict=True)
        return None if said is None else any(equal(member, answer) for member in said)
    said = _values(given, others)
    return None if said is None else any(equal(gold, member) for member in said)


def _values(chain: list[str], numbers: list[str], strict: bool = False) -> Sequence[str] | None:
    """What a chain gives as a value: its numbers, else what has a name; None when unknown.

    With `strict` the sides of an equation are no names, and it gives none.
    """
    ends = (chain[0], chain[-1])
    unknown = [end for end in ends if strict and _is_unknown(end, chain, numbers)]
    if numbers:
        named = (end in numbers or (_is_name(end) and end not in unknown) for end in ends)
        return numbers if all(named) else ()
    if _is_name(ends[0]) and ends[0] not in unknown:
        return chain[-1:]
    if _is_name(ends[1]) and ends[1] not in unknown:
        return chain[:1]
    return () if unknown else None


def _both_agree(
    known: list[str], given: list[str], numbers: list[str], others: list[str], equal: Equal
) -> bool | None:
    if not numbers and not others:
        graphs = known[0] != given[0] and "y" in (known[0], given[0])
        if graphs and all(map(GRAPH.fullmatch, (known[0], given[0]))):
            return equal(known[-1], given[-1])
        return None
    if not numbers or not others:
        return None
    if any(len(set(map(_bare, chain))) == 1 for chain in (known, given)):
        # 5 = 5 says nothing of x.
        return [*map(_bare, known)] == [*map(_bare, given)]
    names, called = (
        {
            _bare(member)
            for member in chain
            if member not in found and _is_name(member) and not _is_unknown(member, known, numbers)
        }
        for chain, found in ((known, numbers), (given, others))
    )
    plain = len(numbers) == len(known), len(others) == len(given)
    if all(plain):
        one, other = (_bare(ARGUMENT.sub(r" \1", chain[0])) for chain in (known, given))
        return one == other and equal(known[-1], given[-1])
    if plain[0] and _is_calculation(known, numbers):
        return False
    if not (names & called or (plain[0] and called) or (names and plain[1])):
        return None
    return any(equal(number, other) for number in numbers for other in others)


def _is_calculation(chain: Sequence[str], numbers: Sequence[str]) -> bool:
    """Whether a chain of nothing but numbers has a sum or product in figures."""
    sums = (member for member in chain if SUM.fullmatch(member) and read_plain(member) is None)
    return len(chain) == len(numbers) and any(sums)


def _bare(member: str) -> str:
    return squeeze(member).replace(" ", "")


def _is_name(member: str) -> bool:
    """Whether a member of a chain may be what a value is called."""
    words = {word.casefold() for word in re.findall(r"[a-zA-Z']+", without_groups(member))}
    if words & REFUSING - {"i"} or OPERATOR.match(member) or SIZE.fullmatch(member):
        return False
    if CALL.fullmatch(member) or INTEGRAL.fullmatch(member):
        return True
    return bool(TOKENS.fullmatch(UNSAID.sub("", member).strip()))


def _is_unknown(member: str, chain: Sequence[str], numbers: Sequence[str]) -> bool:
    """Whether a member of a gold answer is a side of an equation, and no name for the other one.

    It has several coordinates, or a variable of another side.
    """
    if member in numbers or CALL.fullmatch(member) or not TOKENS.fullmatch(member):
        return False
    unknown = _unknowns(member)
    if len(unknown & set("xyz")) > 1 and not QUOTIENT.search(member):
        return True
    others = set().union(*(_unknowns(one) for one in chain if one != member and one not in numbers))
    summed = len(unknown) > 1 and not numbers and re.search("[+-]", member)
    return bool(unknown & others or summed)


def _unknowns(member: str) -> set[str]:
    return set("".join(UNKNOWN.findall(without_groups(member))))


def _numbers(chain: Sequence[str]) -> list[str]:
    return [member for member in chain if len(chain) > 1 and _value(member) is not None]


def _value(member: str) -> Any:
    return as_number(read(read_quantity(member).core))


def _is_true(numbers: Sequence[str]) -> bool:
    return all(_is_same(one, other) for one, other in pairwise(numbers))


def _is_same(one: str, other: str) -> bool:
    """Whether two numbers are equal, or one is the other rounded."""
    left, right = _value(one), _value(other)
    if numbers_equal(left, right, None, decimal=False):
        return True
    exact = to_fraction(left), to_fraction(right)
    if exact[0] is None or exact[1] is None:
        return False
    few, many = (DECIMAL.fullmatch(read_quantity(text).core) for text in (one, other))
    return bool(
        (few and is_rounding(exact[1], exact[0], len(few[1] or "")))
        or (many and is_rounding(exact[0], exact[1], len(many[1] or "")))
    )
