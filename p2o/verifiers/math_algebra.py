"""Equality of single mathematical values by math-verify; imported in worker processes only."""

import logging
import re
from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Any

import sympy
from latex2sympy2_extended.latex2sympy2 import (
    ConversionConfig,
    NormalizationConfig,
    is_expr_of_only_symbols,
    latex2sympy,
)
from math_verify import verify

from p2o.verifiers.math_values import (
    as_number,
    differ_somewhere,
    exact,
    numbers_equal,
    relations,
    same_relation,
)
from p2o.verifiers.math_words import is_prose

# Deadlines are the pool's: math-verify's own alarms do nothing outside the main thread. It warns
# that they are off.
logging.getLogger("math_verify").setLevel(logging.ERROR)

# Its units would be taken from variables as well: 2h would be 2.
NORMALIZATION = NormalizationConfig(basic_latex=True, malformed_operators=True, boxed="none")
# R and r differ.
CONVERSION = ConversionConfig(lowercase_symbols=False)

MISREAD = re.compile(
    # Numbers side by side, which the parser adds: 3 4, {3}{4}, 3{4}.
    r"(?<![\\a-zA-Z^_\d.])\d+(?:\.\d+)? \d(?!\d*\s?/\s?\d)"
    r"|(?:^|[-+=(, ])(?:\d+\s?\{\d|\{\d+\}\s?[\d{])"
    # Dots and signs without a meaning, which it leaves out.
    r"|\\[lc]?dots(?![a-zA-Z])|[^\x00-\x7f]"
    # Indices of numbers, which it drops; roots of one digit out of two; factorials of factorials.
    r"|\d\s?_\s?\{?\s?[a-zA-Z\\]|\d\s?\^\s?(?:\d|\{\d+\})\s?_|\\sqrt\s?\d\d|!\s?!"
)
TOKEN = re.compile(r"\\?[a-zA-Z]+|\d+|[^\s{}]")
MOST_TOKENS = 500
"""For the parser, whose time grows with the square of them; people write some dozens."""
APPROXIMATELY = re.compile(r"\\(?:approx|simeq|doteq)(?![a-zA-Z])")
CAPITAL = re.compile(r"(?<![a-zA-Z\\*])(?<!\* )I(?![a-zA-Z_]|\s?\*)")
"""A variable, unless it is a factor as programs write it, 2*I."""
Equal = Callable[[Any, Any], bool]


@lru_cache(maxsize=2000)
def read(text: str) -> Any:
    """The value of a cleaned answer, a sympy object; None when it cannot be read."""
    if not text or is_prose(text) or MISREAD.search(text):
        return None
    if len(TOKEN.findall(text)) > MOST_TOKENS:
        return None
    # The parser drops what stands behind a sign that it does not know.
    text = CAPITAL.sub(r"\\iota ", APPROXIMATELY.sub("=", text))
    try:
        value = latex2sympy(
            text, is_real=True, normalization_config=NORMALIZATION, conversion_config=CONVERSION
        )
    # The parser raises whatever comes: bare exceptions, AttributeError, RecursionError.
    except Exception:
        return None
    readable = isinstance(value, sympy.Basic | sympy.MatrixBase)
    return value if readable and not value.has(sympy.zoo, sympy.nan) else None


def are_equal(gold: Any, answer: Any, tolerance: float | None = None) -> bool:
    """Whether two values are equal: what is made of parts by its parts, the rest by math-verify."""

    def equal(one: Any, other: Any) -> bool:
        return are_equal(one, other, tolerance)

    if type(gold) is type(answer) and gold == answer:
        return True
    gold, answer = _without_name(gold, answer), _without_name(answer, gold)
    if relations(gold) or relations(answer):
        return _relations_equal(gold, answer, equal)
    if isinstance(gold, sympy.Interval) and isinstance(answer, sympy.Interval):
        sides = (gold.left_open, gold.right_open) == (answer.left_open, answer.right_open)
        return sides and equal(gold.start, answer.start) and equal(gold.end, answer.end)
    if isinstance(gold, sympy.FiniteSet) and isinstance(answer, sympy.FiniteSet):
        return _match(gold.args, answer.args, equal)
    if _shape(gold) is not None and _shape(gold) == _shape(answer):
        return all(map(equal, _elements(gold), _elements(answer)))
    number, given = as_number(gold), as_number(answer)
    if number is not None and given is not None:
        decimal = gold.has(sympy.Float) or answer.has(sympy.Float)
        known = numbers_equal(number, given, tolerance, decimal)
        if known is not None:
            return known
    gold, answer = exact(gold), exact(answer)
    return not differ_somewhere(gold, answer) and bool(verify(gold, answer, timeout_seconds=0))


def _without_name(value: Any, other: Any) -> Any:
    """What x = 5 says of x where the other is no equation; x in [0, 1] is parsed as one."""
    parts, others = relations(value), relations(other)
    if not parts or not all(isinstance(part, sympy.Eq) for part in parts):
        return value
    name, content = parts[0].lhs, parts[-1].rhs
    named = is_expr_of_only_symbols(name) or (not name.free_symbols and as_number(name) is None)
    wanted = not any(isinstance(part, sympy.Eq) for part in others)
    return content if named and wanted and (not others or isinstance(content, sympy.Set)) else value


def _relations_equal(gold: Any, answer: Any, equal: Equal) -> bool:
    parts, given = relations(gold), relations(answer)
    if parts and given:
        return _match(parts, given, lambda one, other: _relation_equal(one, other, equal))
    statement, values = (gold, answer) if parts else (answer, gold)
    if not isinstance(values, sympy.Set) or len(statement.free_symbols) != 1:
        return False
    try:
        return equal(statement.as_set(), values)
    except NotImplementedError:
        return False


def _relation_equal(gold: Any, answer: Any, equal: Equal) -> bool:
    if not gold.free_symbols or not answer.free_symbols:
        # True and false statements about numbers say nothing about each other.
        return (
            type(gold) is type(answer)
            and equal(gold.lhs, answer.lhs)
            and equal(gold.rhs, answer.rhs)
        )
    if isinstance(gold, sympy.Eq) and isinstance(answer, sympy.Eq) and gold.lhs == answer.lhs:
        return equal(gold.rhs, answer.rhs)
    sides = (gold.lhs, gold.rhs, answer.lhs, answer.rhs)
    return all(isinstance(side, sympy.Expr) for side in sides) and same_relation(gold, answer)


def _match(golds: Sequence[Any], answers: Sequence[Any], equal: Equal) -> bool:
    """Whether the same elements are there, in any order."""
    left = list(answers)
    if len(golds) != len(left):
        return False
    for gold in golds:
        index = next((i for i, answer in enumerate(left) if equal(gold, answer)), None)
        if index is None:
            return False
        del left[index]
    return True


def _elements(value: Any) -> Sequence[Any]:
    """In order. Pairs are read as open intervals; lists without brackets as sets."""
    if isinstance(value, sympy.Interval):
        return (value.start, value.end)
    if isinstance(value, sympy.FiniteSet):
        return getattr(value, "_unsorted_args", value.args)
    return value.flat() if isinstance(value, sympy.MatrixBase) else value.args


def _shape(value: Any) -> tuple[int, ...] | None:
    if isinstance(value, sympy.MatrixBase):
        return value.shape
    if isinstance(value, sympy.Interval):
        return (2,) if value.is_open else None
    return (len(value.args),) if isinstance(value, sympy.Tuple | sympy.FiniteSet) else None


# The first comparisons load what sympy and the parser load late. A worker's start has no deadline.
for _pair in ((r"\frac{\sqrt{x}}{2}+1", r"1+\frac{x^{0.5}}{2}"), ("(1,e]", "x>1"), ("2i", r"\pi")):
    are_equal(*map(read, _pair))
