"""Numbers in Chinese characters."""

import re

DIGITS = {sign: value for value, sign in enumerate("零一二三四五六七八九")} | {"〇": 0, "两": 2}
TENS = {"十": 10, "百": 100, "千": 1000}
GROUPS = {"万": 10**4, "萬": 10**4, "亿": 10**8, "億": 10**8}
NUMERAL = re.compile(rf"负?[{''.join((*DIGITS, *TENS, *GROUPS))}]{{1,20}}")


def chinese_number(text: str) -> int | None:
    """The number that a text is; None when it is none.

    Example::

        >>> chinese_number("一百零五"), chinese_number("十二万"), chinese_number("一二")
        (105, 120000, None)
    """
    if not NUMERAL.fullmatch(text):
        return None
    total = group = 0
    digit: int | None = None
    for sign in text.lstrip("负"):
        if sign in DIGITS:
            if digit:
                return None
            digit = DIGITS[sign]
        elif sign in TENS:
            group += (1 if digit is None else digit) * TENS[sign]
            digit = None
        else:
            total, group, digit = (total + group + (digit or 0)) * GROUPS[sign], 0, None
    value = total + group + (digit or 0)
    return -value if text[0] == "负" else value
