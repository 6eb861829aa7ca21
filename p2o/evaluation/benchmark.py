"""A benchmark: questions, and how they are asked."""

from collections.abc import Sequence
from dataclasses import dataclass

from p2o.prompt import Prompt
from p2o.rollout.engine import SamplingParameters


@dataclass(frozen=True)
class Benchmark:
    """Questions and their protocol.

    Attributes:
        name: As in the configuration.
        prompts: The questions.
        samples: Answers to each.
        sampling: How they are drawn.
        drops_unusable: Whether questions are left out that are too long, or whose gold answer the
            verifier cannot use, as training does. They are refused, and asked, otherwise.
    """

    name: str
    prompts: Sequence[Prompt]
    samples: int
    sampling: SamplingParameters
    drops_unusable: bool = False
