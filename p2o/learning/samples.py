"""From rollouts to samples, and from samples to their log-probabilities."""

from collections.abc import Callable, Sequence
from dataclasses import replace

import torch
from torch import Tensor

from p2o.accounting.ledger import Ledger
from p2o.policy.packing import Packed, Packer
from p2o.prompt import Context
from p2o.rollout.runner import Rollout
from p2o.running.distributed import maximum
from p2o.sample import Sample

ScorePasses = Callable[[Sequence[Packed]], list[Tensor]]
"""Log-probabilities `[M]` of each pass's learned tokens, by the trainer's own forward pass."""
ScoreMost = Callable[[Sequence[Packed], int], list[tuple[Tensor, Tensor]]]
"""Log-probabilities and ids, both `[M, C]`, of the most probable tokens at each pass's learned
ones."""


def sample_of(rollout: Rollout, context: Context) -> Sample:
    """A rollout in one context; the tokens that the policy chose are learned."""
    completion = rollout.completion
    return Sample.of(rollout.ids(context), completion.token_ids, completion.loss_mask)


def sampled_log_probs(rollout: Rollout) -> Tensor:
    """`[T]`, the engine's, of the tokens that the policy chose."""
    log_probs = torch.tensor(rollout.completion.log_probs)
    mask = rollout.completion.loss_mask
    return log_probs if mask is None else log_probs[torch.tensor(mask)]


class Scorer:
    """Log-probabilities of rollouts under a policy.

    Args:
        packer: How samples become rows; asked when there are some, as the policy is ready then.
        score: The forward pass.
        ledger: Where to count what is scored.
    """

    def __init__(self, packer: Callable[[], Packer], score: ScorePasses, ledger: Ledger) -> None:
        self.packer, self.score, self.ledger = packer, score, ledger

    def __call__(
        self, pairs: Sequence[tuple[Rollout, Context]], choices: Sequence[Tensor] = ()
    ) -> list[Tensor]:
        """`[T]` of each rollout's chosen tokens in a context, in one call for all.

        Collective: every rank passes its own pairs, be it none.

        Args:
            pairs: Rollouts and contexts.
            choices: `[T, C]` of each pair, tokens in place of the chosen ones; what comes back is
                `[T * C]` then.
        """
        samples = [sample_of(*pair) for pair in pairs]
        if choices:
            samples = [
                replace(sample, choices=tokens)
                for sample, tokens in zip(samples, choices, strict=True)
            ]
        return self._in_passes(samples, self.score)

    def most_probable(
        self, pairs: Sequence[tuple[Rollout, Context]], most: int, score: ScoreMost
    ) -> list[tuple[Tensor, Tensor]]:
        """Log-probabilities and ids `[T, C]` of what is most probable at each chosen token.

        Collective, as a call is.

        Args:
            pairs: Rollouts and contexts.
            most: C, of all tokens at the most.
            score: The forward pass.
        """

        def both(passes: Sequence[Packed]) -> list[Tensor]:
            found = score(passes, most)
            return [torch.stack([values.double(), ids.double()], 1) for values, ids in found]

        found = self._in_passes([sample_of(*pair) for pair in pairs], both)
        return [(values[:, 0].float(), values[:, 1].long()) for values in found]

    def _in_passes(self, samples: Sequence[Sample], score: ScorePasses) -> list[Tensor]:
        packed = self.packer().pack(samples)
        if not maximum(len(packed)):
            return []
        with self.ledger.phase("scoring"):
            self.ledger.add(scored_tokens=sum(rows.tokens for rows, _ in packed))
            flat = score([rows for rows, _ in packed])
        scored: dict[int, Tensor] = {}
        for (_, indices), values in zip(packed, flat, strict=True):
            sizes = [samples[index].learned for index in indices]
            scored.update(zip(indices, values.split(sizes), strict=True))
        return [scored[index] for index in range(len(samples))]
