r"""Sets of numbers however they are written: intervals, inequalities, ``\{x \mid x < 3\}``."""

import re
from typing import Any

import sympy

from p2o.verifiers.math_algebra import are_equal, read
from p2o.verifiers.math_split import EQUAL_SIGN, RELATION, bracket, inside, outside, split
from p2o.verifiers.math_values import exact, relations
from p2o.verifiers.math_words import without_groups

SUCH_THAT = re.compile(r"\\(?:mid|vert|big\||colon)(?![a-zA-Z])|\||:")
OR = re.compile(r"(?<![\w\\])or(?!\w)")
AND = re.compile(r"(?<![\w\\])and(?!\w)")
CONDITIONS = re.compile(rf"[,;]|{AND.pattern}")
ORDER = re.compile(r"[<>]|\\(?:leq?|geq?|lt|gt|neq?|leqslant|geqslant)(?![a-zA-Z])")
MEMBER = re.compile(
    r"\s*([a-zA-Z])\s*(?:\\in(?![a-zA-Z])|(?<=[A-Z])=|(?<=[A-Z] )=)\s*(.+)", re.DOTALL
)
"""A number in a set, or the name of one."""
SIGNS = re.compile(
    RELATION.pattern + r"|\\(?:cup|cap|setminus|infty|mid)(?![a-zA-Z])|\\mathbb|[|]|[\[(].*[\])]"
    r"|^\\\{\s*[a-zA-Z]\s*:",
    re.DOTALL,
)
EVERYTHING = re.compile(r"(?:x is )?(?:all|any|every) real(?: number| value)?s?|reals|real numbers")

CLOSED = re.compile(r"\[\s?[-+]?\s?\\infty(?![a-zA-Z])|\\infty\s?\]")
"""An interval that has an infinite number in it, which the parser takes for an open one."""

Region = tuple[str | None, Any]
"""What the number is called, and the set."""


def regions_agree(gold: str, answer: str, tolerance: float | None) -> bool | None:
    """Whether two sets of numbers are the same; None where one of them is no such set."""
    if CLOSED.search(answer) and not CLOSED.search(gold):
        return False
    if not _is_said(gold) and not _is_said(answer):
        return None
    known = read_region(gold)
    given = None if known is None else read_region(answer)
    if known is None or given is None:
        return None
    if known[0] and given[0] and known[0] != given[0]:
        return False
    if any(_says_nothing(*one) for one in ((gold, known[1]), (answer, given[1]))):
        return False
    return _sets_equal(known[1], given[1], tolerance)


def _says_nothing(text: str, region: Any) -> bool:
    """Whether an inequality holds for every number or for none, as ``x > x``: it is no answer."""
    trivial = region in (sympy.S.EmptySet, sympy.S.Reals) and r"\infty" not in text
    return trivial and bool(ORDER.search(text))


def _is_said(text: str) -> bool:
    """Whether the text can be nothing but a set of numbers."""
    pair = bracket(text) in ("(", "[") and r"\infty" not in text
    return not pair and bool(
        SIGNS.search(text) or EVERYTHING.fullmatch(without_groups(text).casefold().strip())
    )


def _sets_equal(gold: Any, answer: Any, tolerance: float | None) -> bool:
    parts, others = _pieces(gold), _pieces(answer)
    if len(parts) < 2 or len(others) < 2:
        return are_equal(gold, answer, tolerance)
    pairs = zip(parts, others, strict=False)
    return len(parts) == len(others) and all(are_equal(*pair, tolerance) for pair in pairs)


def _pieces(region: Any) -> list[Any]:
    """Intervals and points of a union, from below; none of any other set."""
    parts = region.args if isinstance(region, sympy.Union) else ()
    if not all(isinstance(part, sympy.Interval | sympy.FiniteSet) for part in parts):
        return []
    return sorted(parts, key=lambda part: (float(part.inf), float(part.sup)))


def read_region(text: str) -> Region | None:
    """A set of numbers as it is written; None for anything else."""
    text = text.strip()
    if EVERYTHING.fullmatch(without_groups(text).casefold().strip()):
        return None, sympy.S.Reals
    if bracket(text) == r"\{":
        parts = split(inside(text), SUCH_THAT)
        if len(parts) < 2:
            return _plain_set(text)
        head, condition = parts[0], inside(text)[len(parts[0]) :].lstrip()
        return _such(head, SUCH_THAT.sub("", condition, count=1))
    for pattern, join in ((OR, sympy.Union), (AND, sympy.Intersection)):
        parts = [part.rstrip(" ,;") for part in split(text, pattern)]
        if len(parts) > 1:
            return _joined(list(map(read_region, parts)), join)
    match = MEMBER.fullmatch(text)
    if match and not outside(match[2], RELATION):
        region = read_region(match[2])
        name = match[1] if r"\in" in match[0][: match.start(2)] else None
        return None if region is None else (name, region[1])
    if outside(text, RELATION):
        return _solved(text)
    return _plain_set(text)


def _such(head: str, condition: str) -> Region | None:
    r"""The x of ``\{x \in S \mid condition\}``."""
    name, _, whole = head.partition(r"\in")
    conditions = [part for part in split(condition, CONDITIONS) if part]
    region = _joined(list(map(_condition, conditions)), sympy.Intersection)
    if region is None or not re.fullmatch(r"\s*[a-zA-Z]\s*", name):
        return None
    if region[0] is not None and region[0] != name.strip():
        return None
    if not whole:
        return None, region[1]
    among = read_region(whole)
    return None if among is None else (None, sympy.Intersection(among[1], region[1]))


def _condition(text: str) -> Region | None:
    """The numbers for which a condition within braces holds, which may be an equation."""
    return _solved(text) if outside(text, EQUAL_SIGN) else read_region(text)


def _joined(parts: list[Region | None], join: Any) -> Region | None:
    known = [part for part in parts if part is not None]
    names = {part[0] for part in known if part[0]}
    if len(known) < len(parts) or len(names) > 1:
        return None
    return next(iter(names), None), join(*(part[1] for part in known))


def _solved(text: str) -> Region | None:
    """The numbers for which an inequality, or a chain of them, holds."""
    statements = relations(read(text))
    symbols = {symbol for part in statements for symbol in part.free_symbols}
    if len(symbols) != 1 or not all(part.free_symbols for part in statements):
        return None
    try:
        region = sympy.Intersection(*(exact(part).as_set() for part in statements))
    except (NotImplementedError, TypeError, ValueError, AttributeError):
        return None
    return str(next(iter(symbols))), region


def _plain_set(text: str) -> Region | None:
    value = read(text)
    if not isinstance(value, sympy.Set) or value.free_symbols:
        return None
    points = [point for part in value.atoms(sympy.FiniteSet) for point in part.args]
    if not all(isinstance(point, sympy.Expr) for point in points):
        return None
    return None, exact(value)
