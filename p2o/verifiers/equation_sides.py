"""Sides of an equation: the value of one in figures alone, and one with an unknown in it."""

import ast
import operator
import re
from collections.abc import Callable
from fractions import Fraction

LONGEST = 120
"""Characters of a side whose value is worked out."""
FIGURES = re.compile(r"[\s$€£¥₹]*\(*[\s$€£¥₹]*[\d.,]+[\s\d.,$€£¥₹()+*/×·÷-]*[\s.]*")
SIGNS = {"×": "*", "·": "*", "÷": "/", ",": ""} | dict.fromkeys("$€£¥₹", "")
OPERATIONS: dict[type, Callable[[Fraction, Fraction], Fraction]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
}
NAME = r"(?<![a-zA-Z\\'])[a-zA-Z](?![a-zA-Z'])"
UNIT = re.compile(r"(?<=\d )[a-hj-mo-wA-Z](?![a-zA-Z])")
"""A letter behind a number and a space, which is one of metres or grams and no unknown."""
FUNCTION = r"\\?\b(?:sqrt|log|ln|sin|cos|tan|exp)|\\?√"
WORKED_ON = re.compile(
    rf"[\d)]\s?{NAME}|[-+*/^×·÷√|]\s*{NAME}|{NAME}\s*[-+*/^×·÷!|]"
    rf"|(?:{FUNCTION})\s*[({{]?\s*{NAME}"
)
LAST_NAME = re.compile(rf"(?:^|[^\W\d_]{{2}}[,:]?|[,:])\s*{NAME}\s*$")


def arithmetic_value(side: str) -> Fraction | None:
    """What a sum or product in figures comes to; None when it is none, as ``3 pens + 4``.

    Example::

        >>> arithmetic_value("70 + 2 × (3 - 1)")
        Fraction(74, 1)
    """
    if len(side) > LONGEST or not FIGURES.fullmatch(side):
        return None
    text = "".join(SIGNS.get(sign, sign) for sign in side).strip().rstrip(".")
    try:
        return _value(ast.parse(text, mode="eval").body)
    except (SyntaxError, ValueError, ZeroDivisionError):
        return None


def _value(node: ast.expr) -> Fraction:
    if isinstance(node, ast.Constant) and isinstance(node.value, int | float):
        return Fraction(str(node.value))
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub):
        return -_value(node.operand)
    if isinstance(node, ast.BinOp) and type(node.op) in OPERATIONS:
        return OPERATIONS[type(node.op)](_value(node.left), _value(node.right))
    raise ValueError("no sum or product")


def restrains_unknown(side: str) -> bool:
    """Whether a side is an expression of one unknown, so that its value is not the unknown's.

    An expression of several names, such as ``m + n``, may be what a problem asks for.
    """
    side = UNIT.sub("", side)
    return bool(WORKED_ON.search(side)) and len(set(re.findall(NAME, side))) == 1


def is_name(side: str) -> bool:
    """Whether a side ends with a name that stands alone, as ``so x``."""
    return bool(LAST_NAME.search(side)) and not re.search(rf"(?:{FUNCTION})\s*{NAME}\s*$", side)
