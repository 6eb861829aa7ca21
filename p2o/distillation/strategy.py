"""What training does with rollouts that have a template (P²O's context distillation and others)."""

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from p2o.constraints import Factor
from p2o.distillation.ratio_mask import context_ratio, hard_mask, soft_weight
from p2o.distillation.told import Told
from p2o.errors import UserError
from p2o.prompt import Context


class DistillationStrategy:
    """How rollouts that have a template are trained on; others are plain data of weight 1.

    As it stands: sampled with the template, gradient on the bare prompt, nothing masked. Subclass
    it, or write a class with the same members.

    Attributes:
        rollout_context: In front of the response when it is sampled.
        gradient_context: In front of the response when the gradient is taken.
        old_context: In front of the response for the old log-probabilities of the PPO ratio; None
            for a ratio of one, which makes the loss a weighted log-likelihood.
        needs_log_probs: Whether `token_weights` or `token_advantages` look at their tensors.
        masked_in_denominator: Whether tokens of weight 0 count in the mean that the loss is.
        pushes_alone: Whether failures of a group count of whose successes the token weights leave
            nothing. Such an update pulls nothing up: it only unlearns.
        told: What responses without a template are graded by, as if it were their template; None
            for nothing. Goes with responses that are sampled after the bare prompt.
        choices: Over how many of the most probable tokens at each place responses with a template
            are graded; their log-probabilities are `[T, C]` then, and so are `token_advantages`.
            None for the token that was sampled.
        rewards_alone: Whether responses that have neither a template nor anything told are trained
            on, by their reward.
    """

    rollout_context: Context = Context.TEMPLATED
    gradient_context: Context = Context.BARE
    old_context: Context | None = Context.BARE
    needs_log_probs: bool = False
    masked_in_denominator: bool = True
    pushes_alone: bool = False
    told: Told | None = None
    choices: int | None = None
    rewards_alone: bool = True

    def carries_gradient(self, advantage: float, solved: bool) -> bool:
        """Whether a response is worth a pass through the network.

        Dynamic sampling keeps a group when one of its responses is.
        """
        return advantage != 0

    def after(self, updates: int) -> "DistillationStrategy":
        """The strategy for a policy that has so many updates behind it."""
        return self

    def token_weights(self, old_bare: Tensor, old_templated: Tensor) -> Tensor:
        """Factors on the token losses of a response.

        Args:
            old_bare: `[T]` log-probabilities on x before the update.
            old_templated: `[T]` log-probabilities on T(x, z) before the update.

        Returns:
            `[T]`.
        """
        return torch.ones_like(old_bare)

    def token_advantages(
        self, advantage: float, solved: bool, old_bare: Tensor, old_templated: Tensor
    ) -> Tensor | float:
        """The advantage of each token of a response, or one for all.

        Args:
            advantage: Of the response in its group.
            solved: The verifier's verdict.
            old_bare: `[T]`, empty unless `needs_log_probs`.
            old_templated: `[T]`, likewise.
        """
        return advantage


def refuse_unasked(strategy: DistillationStrategy) -> None:
    """Refuse token weights of its own that a strategy is never asked for.

    Raises:
        UserError: It says that it needs no log-probabilities.
    """
    kind = type(strategy)
    own = getattr(kind, "token_weights", None) is not DistillationStrategy.token_weights
    if isinstance(strategy, DistillationStrategy) and own and kind.needs_log_probs is False:
        raise UserError(
            f"{kind.__name__} has token_weights, which nobody asks as long as its needs_log_probs "
            "is False; set it to True"
        )


@dataclass(frozen=True)
class ContextDistillation(DistillationStrategy):
    """Gradient on the bare prompt, so that what the template gains goes into the weights.

    | variant | `old_context` | `ratio_weight` |
    |---|---|---|
    | context_distillation | bare | hard |
    | crm_soft | bare | soft |
    | no_crm | bare | None |
    | importance_corrected | templated | None |

    Attributes:
        old_context: Bare, or templated for the true off-policy ratio.
        ratio_weight: The Context Ratio Mask: drop tokens whose ratio is out of bounds, weigh them
            by bound over ratio, or None for no mask.
        low: Lower bound of the ratio.
        high: Upper bound of the ratio.
        masked_in_denominator: Whether dropped tokens still count in the loss's denominator (the
            reference's behaviour).
        pushes_alone: Whether failures count in a group whose successes are dropped altogether, as
            the paper has it.

    Raises:
        UserError: The settings contradict each other.
    """

    old_context: Context | None = Context.BARE
    ratio_weight: Literal["hard", "soft"] | None = "hard"
    low: float = 0.01
    high: float = 10.0
    masked_in_denominator: bool = True
    pushes_alone: bool = True

    def __post_init__(self) -> None:
        if self.old_context not in list(Context):
            raise UserError(f"old_context={self.old_context}: give bare or templated")
        # A configuration file gives a plain string.
        object.__setattr__(self, "old_context", Context(self.old_context))
        if self.ratio_weight not in ("hard", "soft", None):
            raise UserError(f"ratio_weight={self.ratio_weight}: give hard, soft or null")
        if self.old_context == Context.TEMPLATED and self.ratio_weight is not None:
            raise UserError(
                "old_context=templated already corrects for the template: "
                "give ratio_weight=null with it, or old_context=bare"
            )
        if not 0 < self.low < self.high:
            raise UserError(f"low={self.low} and high={self.high}: give 0 < low < high")

    @property
    def needs_log_probs(self) -> bool:  # type: ignore[override]
        """Whether there is a mask to compute."""
        return self.ratio_weight is not None

    def token_weights(self, old_bare: Tensor, old_templated: Tensor) -> Tensor:
        """See `DistillationStrategy`."""
        if self.ratio_weight is None:
            return torch.ones_like(old_bare)
        weigh = hard_mask if self.ratio_weight == "hard" else soft_weight
        return weigh(context_ratio(old_bare, old_templated), self.low, self.high)


class Tapered(DistillationStrategy):
    """What is better than its group is imitated; what is worse is pushed down where it is likely.

    Tapered off-policy REINFORCE (arXiv 2503.14286) with the templated policy as the one that has
    sampled. A response of negative advantage weighs min(1, pi_old(y|x) / pi_old(y|x~)), the ratio
    of the whole response. One of positive advantage weighs 1, however improbable it is on the bare
    prompt. A failure that the bare policy would not say needs no pushing down: that would raise all
    else in proportion to its probability, and so what the bare policy says anyway.

    A success is imitated where its group has no contrast, too: there the template is always right,
    and the bare policy has most to learn. Not in the paper of P2O.
    """

    needs_log_probs = True

    def carries_gradient(self, advantage: float, solved: bool) -> bool:
        """Successes do, and what has contrast."""
        return solved or advantage != 0

    def token_advantages(
        self, advantage: float, solved: bool, old_bare: Tensor, old_templated: Tensor
    ) -> Tensor | float:
        """See `DistillationStrategy`."""
        if advantage < 0:
            return advantage * (old_bare - old_templated).sum().clamp(max=0).exp().item()
        return advantage or float(solved)


class NoDistillation(DistillationStrategy):
    """Gradient on the templated prompt: what was sampled is what is trained."""

    gradient_context = Context.TEMPLATED
    old_context = Context.TEMPLATED


class SuccessOnly(DistillationStrategy):
    """Behaviour cloning: verified successes of templated rollouts, on the bare prompt.

    The loss of such a response is minus its log-likelihood, in the same mean as all others;
    failures have none. Not in the paper.
    """

    old_context = None

    def carries_gradient(self, advantage: float, solved: bool) -> bool:
        """Successes do."""
        return solved

    def token_advantages(
        self, advantage: float, solved: bool, old_bare: Tensor, old_templated: Tensor
    ) -> float:
        """1 for a success, which is plain log-likelihood; 0 for a failure."""
        return float(solved)


@dataclass(frozen=True)
class ReverseKL(DistillationStrategy):
    """On-policy self-distillation: the templated policy grades the bare one's tokens.

    Responses of hard samples are sampled after the bare prompt. Each token's advantage is the log
    ratio of its probability on T(x, z) to that on x, under the policy before the update: minus a
    sample of the reverse divergence KL(pi(.|x) || pi(.|T(x, z))), whose gradient it estimates
    (on-policy distillation, arXiv 2306.13649, with the policy as its own teacher). Rewards of these
    responses count for mining alone. Not in the paper.

    With `told`, responses without a template are graded in the same way by the policy that is told
    something: with a sibling's success that is SDPO (arXiv 2601.20802, section 3). Responses of
    which nothing can be told are then not trained on.

    Attributes:
        coefficient: Factor on these advantages.
        limit: Largest size of a log ratio; one token that the template rules out must not drown
            all others.
        told: See `DistillationStrategy`.

    Raises:
        UserError: A setting cannot work.
    """

    coefficient: Factor = 1.0
    limit: float = 5.0
    told: Told | None = None

    rollout_context = Context.BARE
    needs_log_probs = True

    def __post_init__(self) -> None:
        for name in ("coefficient", "limit"):
            if not getattr(self, name) > 0:
                raise UserError(f"{name}={getattr(self, name)}: give more than 0")

    @property
    def rewards_alone(self) -> bool:  # type: ignore[override]
        """Where nothing is told: bare responses are then those of problems without a template."""
        return self.told is None

    def carries_gradient(self, advantage: float, solved: bool) -> bool:
        """All do, solved or not."""
        return True

    def token_advantages(
        self, advantage: float, solved: bool, old_bare: Tensor, old_templated: Tensor
    ) -> Tensor:
        """See `DistillationStrategy`."""
        return self.coefficient * (old_templated - old_bare).clamp(-self.limit, self.limit)
