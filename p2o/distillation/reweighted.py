"""The reward says which way a response is pushed, the told policy how much each of its tokens."""

from dataclasses import dataclass, replace

from torch import Tensor

from p2o.constraints import Share, Whole
from p2o.distillation.ratio_mask import LOG_RATIO_LIMIT
from p2o.distillation.strategy import DistillationStrategy
from p2o.distillation.told import Told
from p2o.errors import UserError
from p2o.prompt import Context


def evidence_weight(
    advantage: float, old_bare: Tensor, old_told: Tensor, epsilon: float, share: float
) -> Tensor:
    """Factors on the advantage of a response (RLSD, arXiv 2604.03128, equations 13 to 15).

    With Delta the log-probability of a token when the policy is told something minus that when it
    is not, ``(1 - share) + share * clip(exp(sign(A) * Delta), 1 - epsilon, 1 + epsilon)``. So what
    speaks for a token weighs more in a success and less in a failure, and no sign is ever turned.

    Args:
        advantage: A, of the response.
        old_bare: `[T]` log-probabilities on the bare prompt, without gradient.
        old_told: `[T]` log-probabilities of the policy that is told something, likewise.
        epsilon: Bound of a token's weight around 1.
        share: lambda of the paper: 0 is the same weight for all tokens.

    Returns:
        `[T]`.
    """
    sign = (advantage > 0) - (advantage < 0)
    gain = (old_told - old_bare).clamp(-LOG_RATIO_LIMIT, LOG_RATIO_LIMIT)
    return (1 - share) + share * (sign * gain).exp().clamp(1 - epsilon, 1 + epsilon)


@dataclass(frozen=True)
class Reweighted(DistillationStrategy):
    """Reinforcement with self-distilled weights of tokens (RLSD, arXiv 2604.03128, section 4).

    Responses are sampled on the bare prompt, and their advantage is that of their reward. The
    policy that is told something (the right answer in the paper), or has the problem's hint, only
    distributes it over the tokens. Where it knows nothing more, all tokens weigh the same.

    Attributes:
        epsilon: See `evidence_weight`.
        share: See `evidence_weight`, before the first update.
        decay_updates: Updates over which `share` falls to 0, linearly; 0 keeps it.
        told: See `DistillationStrategy`.

    Raises:
        UserError: A setting cannot work.
    """

    epsilon: float = 0.2
    share: Share = 0.5
    decay_updates: Whole = 50
    told: Told | None = None

    rollout_context = Context.BARE

    @property
    def needs_log_probs(self) -> bool:  # type: ignore[override]
        """As long as the policy that is told something has a say."""
        return self.share > 0

    def __post_init__(self) -> None:
        if not 0 < self.epsilon <= 1:
            raise UserError(f"epsilon={self.epsilon}: give more than 0 and at most 1")

    def after(self, updates: int) -> "Reweighted":
        """With less of a share."""
        if not self.decay_updates:
            return self
        return replace(self, share=self.share * max(0.0, 1 - updates / self.decay_updates))

    def token_advantages(
        self, advantage: float, solved: bool, old_bare: Tensor, old_templated: Tensor
    ) -> Tensor | float:
        """See `DistillationStrategy`."""
        # Nothing is scored once the share has fallen to 0.
        if not len(old_bare):
            return advantage
        weights = evidence_weight(advantage, old_bare, old_templated, self.epsilon, self.share)
        return advantage * weights
