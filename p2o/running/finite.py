"""Numbers that JSON does not know."""

from decimal import Decimal
from math import isfinite
from typing import Any


def finite(content: Any) -> Any:
    """Content with null in place of infinities and of what is no number.

    Example::

        >>> finite({"a": [1.5, float("nan")], "b": (Decimal("inf"), "x")})
        {'a': [1.5, None], 'b': [None, 'x']}
    """
    if isinstance(content, dict):
        return {key: finite(value) for key, value in content.items()}
    if isinstance(content, list | tuple):
        return [finite(value) for value in content]
    return None if isinstance(content, float | Decimal) and not isfinite(content) else content
