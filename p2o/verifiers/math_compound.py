"""Quantities in several units, such as 3 hours and 20 minutes."""

import re
from collections import Counter
from fractions import Fraction

from p2o.verifiers.math_unit_table import measure, unit
from p2o.verifiers.math_units import read_quantity
from p2o.verifiers.math_words import STOPS, without_groups
from p2o.verifiers.plain_number import read_plain

PART = re.compile(r"(\d{1,12}(?:\.\d{1,12})?) ?([a-zA-Z]+)\.?(?: ?,? ?and |, | |$)")
CLOCK = re.compile(r"(\d{1,4}):(\d\d)")
MOST_PARTS = 4

Compound = list[tuple[Fraction, Fraction]]
"""Numbers and the sizes of their units."""


def compounds_agree(gold: str, answer: str) -> bool | None:
    """Whether 3 hours and 20 minutes are 200 minutes.

    None when neither has several units, or the other one is no quantity of the kind.
    A number without a unit has the larger one, and 3:20 the two units where one is 60 of the other.
    """
    known, given = _read(gold), _read(answer)
    compound = known or given
    if compound is None:
        return None
    parts, dimensions = compound
    values = [_sum(parts) if one else None for one in (known, given)]
    if known and given:
        return values[0] == _sum(given[0]) and dimensions == given[1]
    value = _value(answer if known else gold, parts, dimensions)
    return None if value is None else value == _sum(parts)


def _read(text: str) -> tuple[Compound, Counter[str]] | None:
    """Numbers with units of one kind, each less than one of the unit before it."""
    text = " ".join(without_groups(text).split()).strip(STOPS)
    found = list(PART.finditer(text))
    if not 2 <= len(found) <= MOST_PARTS or "".join(part[0] for part in found) != text:
        return None
    units = [unit(part[2]) for part in found]
    kinds = [one[0] for one in units if one is not None]
    if len(kinds) < len(units) or any(kind != kinds[0] for kind in kinds):
        return None
    parts = [(Fraction(part[1]), one[1]) for part, one in zip(found, units, strict=True) if one]
    proper = all(
        number * size < before
        for (_, before), (number, size) in zip(parts, parts[1:], strict=False)
    )
    return (parts, kinds[0]) if proper else None


def _sum(parts: Compound) -> Fraction:
    return sum((number * size for number, size in parts), Fraction(0))


def _value(text: str, parts: Compound, dimensions: Counter[str]) -> Fraction | None:
    """What another quantity comes to; None when it is none of the same kind."""
    sizes = [size for _, size in parts]
    clock = CLOCK.fullmatch(text)
    if clock:
        sixty = len(sizes) == 2 and sizes[0] == 60 * sizes[1]
        return int(clock[1]) * sizes[0] + int(clock[2]) * sizes[1] if sixty else None
    quantity = read_quantity(text, letters=True)
    number, measured = read_plain(quantity.core), measure(quantity.words)
    if number is None or measured is None or (quantity.words and measured[0] != dimensions):
        return None
    return number * quantity.scale * (measured[1] if quantity.words else sizes[0])
