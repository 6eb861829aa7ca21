"""Numbers and relations among parsed answers; imported in worker processes only."""

from collections.abc import Sequence
from fractions import Fraction
from typing import Any

import sympy
from sympy.core.function import AppliedUndef
from sympy.core.relational import Relational

from p2o.verifiers.plain_number import is_near

DIGITS = 50
"""To which numbers are computed that are not rational."""
FLIPPED = {
    sympy.StrictLessThan: sympy.StrictGreaterThan,
    sympy.StrictGreaterThan: sympy.StrictLessThan,
    sympy.LessThan: sympy.GreaterThan,
    sympy.GreaterThan: sympy.LessThan,
}


def exact(value: Any) -> Any:
    """The same with decimals as fractions, i as the imaginary unit, and derivatives as symbols."""
    if not hasattr(value, "xreplace"):
        return value
    known: dict[Any, Any] = {
        number: sympy.Rational(str(number)) for number in value.atoms(sympy.Float)
    }
    known |= {symbol: sympy.I for symbol in value.free_symbols if str(symbol) == "i"}
    known |= {term: sympy.Symbol(str(term)) for term in value.atoms(sympy.Derivative)}
    return value.xreplace(known)


def as_number(value: Any) -> Any:
    """The value computed, where it is a finite number, real or complex; else None."""
    if not isinstance(value, sympy.Expr) or value.atoms(AppliedUndef):
        return None
    value = exact(value)
    if value.free_symbols:
        return None
    value = value.doit()
    return value if value.is_number and value.is_finite else None


def numbers_equal(gold: Any, answer: Any, tolerance: float | None, decimal: bool) -> bool | None:
    """Whether two numbers are equal, see `is_near`; None where digits do not tell."""
    if gold.is_Rational and answer.is_Rational:
        return is_near(_fraction(gold), _fraction(answer), tolerance, decimal)
    gold, answer = sympy.N(gold, DIGITS), sympy.N(answer, DIGITS)
    error, size = (_fraction(sympy.N(abs(value), DIGITS)) for value in (gold - answer, gold))
    if error <= size / 10 ** (DIGITS - 10):
        return True
    if tolerance is not None or decimal:
        return is_near(size, size + error, tolerance, decimal)
    return False if error > Fraction(1, 10 ** (DIGITS // 2)) else None


def differ_somewhere(gold: Any, answer: Any) -> bool:
    """Whether two expressions differ at a point, which is found much faster than by algebra."""
    if not isinstance(gold, sympy.Expr) or not isinstance(answer, sympy.Expr):
        return False
    gap = gold - answer
    symbols = sorted(gap.free_symbols, key=str)
    point = {symbol: sympy.Rational(7 + 2 * i, 5 + 3 * i) for i, symbol in enumerate(symbols)}
    values = [value.xreplace(point) for value in (gold, answer)]
    if any(value.atoms(AppliedUndef, sympy.Derivative, sympy.Integral) for value in values):
        return False
    # Not as Python's numbers, which end at 1e308.
    one, other = (sympy.N(value) for value in values)
    if not (one.is_number and other.is_number and one.is_finite and other.is_finite):
        return False
    sizes = [abs(sympy.N(value)) for value in (one - other, one, other)]
    if not all(size.is_Float or size.is_Rational for size in sizes):
        return False
    return bool(sizes[0] > max(sizes[1:]) / 10**6)


def _fraction(number: Any) -> Fraction:
    rational: Any = sympy.Rational(number)
    return Fraction(int(rational.p), int(rational.q))


def to_fraction(number: Any) -> Fraction | None:
    """A number that `as_number` returned, computed to `DIGITS`; None when it is not real."""
    return (
        _fraction(number if number.is_Rational else sympy.N(number, DIGITS))
        if number.is_real
        else None
    )


def relations(value: Any) -> Sequence[Any]:
    """The equations and inequalities that a chain of them is made of; none of anything else."""
    if isinstance(value, Relational):
        return [value]
    if isinstance(value, sympy.And) and all(isinstance(part, Relational) for part in value.args):
        # In the order written, where it is known.
        return getattr(value, "_unsorted_args", value.args)
    return []


def same_relation(gold: Relational, answer: Relational) -> bool:
    """Whether one is the other times a number: x < 2y and 4y > 2x."""
    one, other = (exact(value.lhs) - exact(value.rhs) for value in (gold, answer))
    if other == 0:
        return False
    ratio = sympy.simplify(one / other)
    if not ratio.is_number or ratio == 0 or not ratio.is_finite:
        return False
    if isinstance(gold, sympy.Eq | sympy.Ne):
        return type(gold) is type(answer)
    kind = FLIPPED.get(type(answer)) if ratio.is_negative else type(answer)
    return type(gold) is kind and bool(ratio.is_real)
