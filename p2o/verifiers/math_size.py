r"""How large the numbers of an answer are, estimated from its text before anything is computed.

``9^{9^{9}}`` has 370 million digits, and sympy would begin to write them down.
"""

import math
import re

MOST_DIGITS = 50_000
"""Of a number that is computed."""
MOST = 20_000
"""Of which a factorial is computed, or so many are chosen."""
MOST_TERMS = 10**5
TOKEN = re.compile(
    r"\\(?:text\w*|mathrm|mbox|operatorname|begin|end)\s?\{[^{}]*\}|\\[a-zA-Z]+|\\.|\d+(?:\.\d*)?|\.\d+|\S",
    re.DOTALL,
)
CLOSING = {"(": ")", "[": "]", "{": "}", r"\{": r"\}"}
WITH_LIMITS = {r"\sum", r"\prod"}
SCRIPTED = {r"\int", r"\oint", r"\lim", r"\log", r"\bigcup", r"\bigcap", r"\max", r"\min"}
FUNCTIONS = re.compile(r"\\(?:log|ln|lg|sin|cos|tan|cot|sec|csc|arc\w+|lim|deg)")
UNKNOWN = math.log10(3)
"""The logarithm of what a letter may stand for."""


class TooLarge(Exception):
    """There is a number with more digits than are computed."""


class _Sizes:
    """Reads a text once; each method takes a piece of it and gives the logarithm of its size."""

    def __init__(self, text: str) -> None:
        self.tokens = TOKEN.findall(text)
        self.at = 0

    def total(self, end: str = "") -> float:
        """Sums and lists up to a bracket."""
        largest, terms, term = 0.0, 1, 0.0
        divided = False
        while self.at < len(self.tokens):
            token = self.tokens[self.at]
            if token == end:
                self.at += 1
                break
            if token in ("+", "-", ",", ";", "=", "&", r"\\", r"\pm"):
                self.at += 1
                largest, terms, term, divided = max(largest, term), terms + 1, 0.0, False
            elif token in ("/", r"\div"):
                self.at += 1
                divided = True
            else:
                size = self.factor()
                term, divided = term + (0.0 if divided else size), False
        return max(largest, term) + math.log10(terms)

    def factor(self) -> float:
        """A number, a letter, a bracket or a command, with its powers and factorials."""
        token = self._next()
        size, decimals = UNKNOWN, 0
        if token[0].isdecimal() or (token[0] == "." and len(token) > 1):
            size = math.log10(max(int(token.partition(".")[0][:4300] or 0), 2))
            decimals = len(token.partition(".")[2])
        elif token in CLOSING:
            size = self.total(CLOSING[token])
        elif token in (r"\frac", r"\dfrac", r"\tfrac", r"\cfrac"):
            size, _ = self.argument(), self.argument()
        elif token in (r"\binom", r"\dbinom", r"\tbinom"):
            size = _chosen(self.argument(), self.argument())
        elif token in WITH_LIMITS or token in SCRIPTED:
            self._limits(token in WITH_LIMITS)
            size = 0.0
        elif not token[0].isalpha():
            size = UNKNOWN if token.startswith("\\") and not FUNCTIONS.match(token) else 0.0
        return self._raised(size, decimals)

    def argument(self) -> float:
        """One digit, letter or group."""
        token = self._next()
        if token in CLOSING:
            return self.total(CLOSING[token])
        if len(token) > 1 and token[0].isdecimal():
            # The first digit alone.
            self.at -= 1
            self.tokens[self.at] = token[1:]
            token = token[0]
        return math.log10(max(int(token), 2)) if token.isdecimal() else UNKNOWN

    def _raised(self, size: float, decimals: int) -> float:
        while self.at < len(self.tokens) and self.tokens[self.at] in ("^", "!", "_", "**"):
            sign = self._next()
            if sign == "!":
                if size > math.log10(MOST):
                    raise TooLarge
                size = 10**size * max(size, UNKNOWN)
            elif sign == "_":
                self.argument()
            else:
                sign_of_power = self.at < len(self.tokens) and self.tokens[self.at] in "+-"
                self.at += sign_of_power
                power = self._raised(self.argument(), 0)
                if power > 12 or (size + decimals) * 10**power > MOST_DIGITS:
                    raise TooLarge
                size, decimals = max(size * 10**power, UNKNOWN), int(decimals * 10**power)
        return size

    def _limits(self, counted: bool) -> None:
        while self.at < len(self.tokens) and self.tokens[self.at] in ("^", "_"):
            sign = self._next()
            if self.argument() > math.log10(MOST_TERMS) and counted and sign == "^":
                raise TooLarge

    def _next(self) -> str:
        self.at += 1
        return self.tokens[self.at - 1] if self.at <= len(self.tokens) else " "


def _chosen(many: float, some: float) -> float:
    if min(many, some) > math.log10(MOST):
        raise TooLarge
    return many * 10 ** min(many, some) if min(many, some) < 12 else many


def is_small(text: str) -> bool:
    r"""Whether no number in a cleaned answer is too large to be computed.

    Example::

        >>> [is_small(text) for text in ("2^{100}", "9^{9^{9}}", r"\binom{10^7}{5\cdot10^6}")]
        [True, False, False]
    """
    sizes = _Sizes(text)
    try:
        while sizes.at < len(sizes.tokens):
            sizes.total()
    except (TooLarge, RecursionError, OverflowError):
        return False
    return True
