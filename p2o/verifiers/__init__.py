"""Verifiers: scores with a status.

`Numeric` for a number behind an answer mark, `ExactMatch` for a text, `BoxedMath` for mathematics
in a box (the paper's reward). `GuardedVerifier` stands around whichever is chosen. Another one is
any class with the method of `Verifier`.
"""

from p2o.verifiers.base import Score, Status, Verifier
from p2o.verifiers.boxed_math import BoxedMath
from p2o.verifiers.exact import ExactMatch
from p2o.verifiers.guarded import GuardedVerifier
from p2o.verifiers.numeric import Numeric

__all__ = [
    "BoxedMath",
    "ExactMatch",
    "GuardedVerifier",
    "Numeric",
    "Score",
    "Status",
    "Verifier",
]
