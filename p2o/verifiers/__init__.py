"""Verifiers: scores with a status.

`BoxedMath` for mathematics in a box (the paper's reward), `Math` for mathematics wherever it
stands, `Numeric` for a number behind an answer mark, `ExactMatch` for a text, `RegexMatch` for a
text that can be written in several ways, `MultipleChoice` for a letter. `GuardedVerifier` stands
around whichever is chosen. Another one is any class with the method of `Verifier`; it may also have
that of `GoldChecker`.
"""

from p2o.verifiers.base import GoldChecker, Score, Status, Verifier
from p2o.verifiers.boxed_math import BoxedMath
from p2o.verifiers.exact import ExactMatch
from p2o.verifiers.guarded import GuardedVerifier, TooManyFailures
from p2o.verifiers.math import Math
from p2o.verifiers.multiple_choice import MultipleChoice
from p2o.verifiers.numeric import Numeric
from p2o.verifiers.regex import RegexMatch

__all__ = [
    "BoxedMath",
    "ExactMatch",
    "GoldChecker",
    "GuardedVerifier",
    "Math",
    "MultipleChoice",
    "Numeric",
    "RegexMatch",
    "Score",
    "Status",
    "TooManyFailures",
    "Verifier",
]
