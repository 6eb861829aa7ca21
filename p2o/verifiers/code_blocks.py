"""Python code in a response: fenced blocks, as Markdown has them."""

import re

OPENING = re.compile(r"([ \t>]*(?:(?:[-*+]|\d{1,9}[.)])[ \t]+)?)(`{3,}|~{3,})[ \t{.]*([^`]*)")
CLOSING = re.compile(r" {0,3}(`{3,}|~{3,})[ \t]*")
LANGUAGE = re.compile(r"(?:i?python|py)[ \t]?[\d.]*(?![a-z\d])", re.IGNORECASE)
"""``python``, ``py``, ``Python3``, ``python 3.11``, with attributes behind or not."""


def find_code(response: str) -> str | None:
    """The last block of Python that is closed; None without one.

    The language stands behind the opening fence. A block in a list or a quotation is moved to the
    left as far as its fence stands to the right.
    """
    margin, fence, wanted = 0, "", False
    lines: list[str] = []
    found = None
    for line in response.replace("\r\n", "\n").split("\n"):
        # A mark of the order of bytes, which some editors put in front.
        line = line.removeprefix("\ufeff")
        opening = OPENING.fullmatch(line)
        starts = opening is not None and LANGUAGE.match(opening[3]) is not None
        if opening and (not fence or (starts and opening[2].startswith(fence))):
            # A fence with a language opens a block, also where another one was left open.
            margin, fence, wanted, lines = len(opening[1]), opening[2], starts, []
            continue
        if not fence:
            continue
        line = _moved(line, margin)
        closing = CLOSING.fullmatch(line)
        if closing and closing[1].startswith(fence):
            found, fence = "".join(f"{one}\n" for one in lines) if wanted else found, ""
        else:
            lines.append(line)
    return found


def _moved(line: str, most: int) -> str:
    """A line without as much of its margin as there is."""
    margin = len(line) - len(line.lstrip(" \t>"))
    return line[min(margin, most) :]
