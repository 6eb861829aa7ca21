r"""Answers that are made of parts: lists, sets, points, values with names, ratios."""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from p2o.verifiers.math_split import (
    EQUAL_SIGN,
    RELATION,
    both_signs,
    bracket,
    elements,
    inside,
    outside,
    split,
)

Equal = Callable[[str, str], bool]

OR = re.compile(r"(?<![\w\\])or(?!\w)")
SEMICOLON = re.compile(";")
COMMA = re.compile(r"[,;]")
COLON = re.compile(":")
MOST_REPEATS = 4
"""How often an answer may say all there is to say."""
NAMED = re.compile(r"([a-zA-Z]{1,3}(?:_\w|_\{\w{1,9}\})?|\\[a-z]+)\s*=\s*([^=]+)")


@dataclass(frozen=True)
class Parts:
    """A list as it is written.

    Attributes:
        items: Its elements.
        ordered: Whether it is a point, whose elements have places.
        braced: Whether it is a set in braces.
    """

    items: tuple[str, ...]
    ordered: bool = False
    braced: bool = False

    @property
    def nested(self) -> bool:
        """Whether it is a set that has sets in it."""
        return self.braced and any(map(_is_set, self.items))


def _is_set(text: str) -> bool:
    return bracket(text) == r"\{" or text.strip() == r"\emptyset"


def read_parts(text: str) -> Parts:
    r"""Elements of a list, a point or a set; a text without parts is a list of itself.

    Example::

        >>> read_parts("(1, 2)").ordered, read_parts(r"1 \pm x, 2").items
        (True, ('1 + x', '1 - x', '2'))
    """
    opening = bracket(text)
    if opening in ("(", "["):
        items = split(inside(text), COMMA)
        if len(items) > (1 if opening == "(" else 2) and all(items):
            return Parts(tuple(items), ordered=True)
    content = inside(text) if opening == r"\{" else text
    items = [sign for item in _divided(content) for sign in both_signs(item)]
    return Parts(tuple(items) or (text,), braced=opening == r"\{")


def _divided(text: str) -> list[str]:
    """Elements; lists of lists are divided where the outer list is."""
    for outer in (SEMICOLON, OR):
        rows = [row for row in split(text, outer) if row]
        lengths = {len(elements(row)) for row in rows}
        if len(rows) > 1 and len(lengths) == 1 and lengths != {1}:
            return rows
    return elements(text)


def lists_agree(gold: str, answer: str, equal: Equal) -> bool | None:
    """Whether two answers have the same parts; None where neither has several."""
    known, given = read_parts(gold), read_parts(answer)
    # A set of one point, where the other one is a point.
    if _is_of_point(known) and given.ordered:
        known = read_parts(known.items[0])
    elif _is_of_point(given) and known.ordered:
        given = read_parts(given.items[0])
    if known.nested or given.nested:
        return known.nested == given.nested and _nested_agree(known, given, equal)
    lengths = {len(known.items), len(given.items)}
    if lengths == {1}:
        alone = (known.items[0], given.items[0])
        return None if alone == (gold, answer) else equal(*alone)
    # A point with a name in front is for chains.
    if (
        1 in lengths
        and any(outside(text, EQUAL_SIGN) for text in (gold, answer))
        and _has_point(known, given)
    ):
        return None
    names = _names(known), _names(given)
    if names[0] and names[1] and names[0] != names[1]:
        return False
    named = _named(known), _named(given)
    if named[0] and named[1]:
        return all(equal(value, named[1][name]) for name, value in named[0].items())
    if known.ordered or given.ordered:
        return _points_agree(known, given, equal)
    known, given = _without_shared_name(known), _without_shared_name(given)
    if any(map(_named, (known, given))):
        return _points_agree(known, given, equal)
    return _same_elements(known.items, given.items, equal)


def _is_of_point(parts: Parts) -> bool:
    return parts.braced and len(parts.items) == 1 and bracket(parts.items[0]) == "("


def _nested_agree(known: Parts, given: Parts, equal: Equal) -> bool:
    """Whether two sets that have sets in them are the same: no set is what it holds."""

    def same(one: str, other: str) -> bool:
        return _is_set(one) == _is_set(other) and equal(one, other)

    return _same_elements(known.items, given.items, same)


def _has_point(*lists: Parts) -> bool:
    return any(parts.ordered for parts in lists)


def _points_agree(known: Parts, given: Parts, equal: Equal) -> bool:
    """Whether two points are the same; names of coordinates say where they belong."""
    if known.braced or given.braced:
        return False
    values, others = _in_order(known, written=True), _in_order(given, written=False)
    return len(values) == len(others) and all(map(equal, values, others))


def _in_order(parts: Parts, written: bool) -> Sequence[str]:
    named = _named(parts)
    if not named:
        return parts.items
    return list(named.values()) if written else [named[name] for name in sorted(named)]


def _named(parts: Parts) -> dict[str, str]:
    """Values by name where each has one of its own; empty for others."""
    matches = [NAMED.fullmatch(item) for item in parts.items]
    named = {match[1]: match[2] for match in matches if match and not outside(match[0], RELATION)}
    return named if len(named) == len(parts.items) > 1 else {}


def _names(parts: Parts) -> set[str]:
    """What the values are called that have a name."""
    matches = [NAMED.fullmatch(item) for item in parts.items]
    return {match[1] for match in matches if match}


def _without_shared_name(parts: Parts) -> Parts:
    """x=1, x=2 and x=1, 2 as 1, 2."""
    matches = [NAMED.fullmatch(item) for item in parts.items]
    names = {match[1] for match in matches if match}
    first_only = matches[0] is not None and not any("=" in item for item in parts.items[1:])
    if len(parts.items) < 2 or len(names) != 1 or not (all(matches) or first_only):
        return parts
    items = [match[2] if match else item for match, item in zip(matches, parts.items, strict=True)]
    return Parts(tuple(items), parts.ordered, parts.braced)


def _same_elements(golds: Sequence[str], answers: Sequence[str], equal: Equal) -> bool:
    """Whether the same elements are there, in any order.

    An answer may say an element twice unless the gold answer does.
    """
    left = list(answers)
    if len(left) > MOST_REPEATS * len(golds):
        return False
    if len(left) > len(golds) and not _has_repeats(golds, equal):
        left = [one for at, one in enumerate(left) if not any(equal(two, one) for two in left[:at])]
    if len(golds) != len(left):
        return False
    for gold in golds:
        index = next((i for i, answer in enumerate(left) if equal(gold, answer)), None)
        if index is None:
            return False
        del left[index]
    return True


def _has_repeats(items: Sequence[str], equal: Equal) -> bool:
    return any(equal(two, one) for at, one in enumerate(items) for two in items[:at])


def ratios_agree(gold: str, answer: str, equal: Equal) -> bool | None:
    """Whether two ratios are the same; None where neither has three terms or more.

    Ratios of two terms are quotients.
    """
    known, given = (split(text, COLON) for text in (gold, answer))
    if max(len(known), len(given)) < 3:
        return None
    if len(known) != len(given) or not all((*known, *given)):
        return False
    return all(
        equal(rf"\frac{{{one}}}{{{known[0]}}}", rf"\frac{{{other}}}{{{given[0]}}}")
        for one, other in zip(known, given, strict=True)
    )
