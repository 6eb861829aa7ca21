"""The rollout engine that samples with the policy itself."""

import copy
import logging
from collections.abc import Sequence
from functools import cache
from itertools import accumulate
from typing import Any, Self

from torch import nn

from p2o.constraints import Count, Positive
from p2o.errors import UserError
from p2o.policy.causal import CausalPolicy
from p2o.policy.sharding import is_sharded, readable_weights
from p2o.rollout.decoding import decode
from p2o.rollout.engine import Completion, SamplingParameters, check_lengths
from p2o.rollout.generating import generate
from p2o.rollout.prefill import rows_can_join
from p2o.rollout.probe import check_sampled
from p2o.rollout.weights import copy_weights, fingerprint, plain_weights, whole_copy

logger = logging.getLogger(__name__)

CHECKED_TOKENS = 256
"""Of the samples, prompts included, that are scored by a plain forward pass after an update."""


class HFEngine:
    """Samples with the policy itself.

    Args:
        model: The transformers model; shared with the trainer, so that updates need no copy.
        max_batch_size: Responses sampled together.
        probe_bound: Nats a token by which log-probabilities of sampled tokens may differ from those
            of the model's plain forward pass; see `p2o.rollout.probe.check_sampled`.

    Raises:
        UserError: The model's generation config names no end token.
    """

    def __init__(
        self, model: nn.Module, max_batch_size: Count = 256, probe_bound: Positive = 0.1
    ) -> None:
        self.model: Any = model
        self.max_batch_size, self.probe_bound = max_batch_size, probe_bound
        self.max_length = position_limit(self.model.config)
        self.end_ids = end_ids(self.model)
        self._version = ""
        self._checked = False
        self._rows_join: bool | None = None

    def generate(
        self,
        prompts: Sequence[Sequence[int]],
        sampling: SamplingParameters,
        seeds: Sequence[int],
    ) -> list[Completion]:
        """Sample one completion for each prompt; see `RolloutEngine.generate`.

        Raises:
            UserError: A prompt leaves no room for a completion.
            EngineError: What was sampled has other log-probabilities than the model gives it.
        """
        check_lengths(prompts, sampling, self.max_length)
        training = self.model.training
        self.model.eval()
        completions = self._sample(prompts, sampling, seeds)
        if prompts and sampling.whole and not self._checked:
            policy, few = CausalPolicy(self.model, 1.0), _first_few(prompts, completions)
            check_sampled(policy, self.probe_bound, prompts[:few], completions[:few], sampling)
            self._checked = True
        self.model.train(training)
        return completions

    def update_weights(self, policy: CausalPolicy) -> None:
        """Look again at what is sampled; a whole copy of the model follows a sharded policy."""
        self._checked = False
        if not is_sharded(policy):
            return
        version = fingerprint(policy)
        if version == self._version:
            return
        self._version = version
        with readable_weights(policy):
            if self.model is policy.model:
                self.model = whole_copy(policy.model)
            else:
                copy_weights(plain_weights(policy.model), self.model)

    def frozen_copy(self) -> Self:
        """An engine on a copy of the model."""
        model = copy.deepcopy(self.model).requires_grad_(False)
        return type(self)(model, self.max_batch_size, self.probe_bound)

    def release(self) -> None:
        """Nothing to do: what sampling needs is freed when it ends."""

    def _sample(
        self,
        prompts: Sequence[Sequence[int]],
        sampling: SamplingParameters,
        seeds: Sequence[int],
    ) -> list[Completion]:
        if not prompts:
            return []
        plain = without_adapter(self.model)
        if self._rows_join is None:
            self._rows_join = rows_can_join(plain, prompts[0][:1])
            if not self._rows_join:
                say_rows_stay(type(plain).__name__)
        sample = decode if self._rows_join else generate
        ends = [*self.end_ids, *sampling.stop_token_ids]
        return sample(plain, prompts, sampling, seeds, ends, self.max_batch_size)


def _first_few(prompts: Sequence[Sequence[int]], completions: Sequence[Completion]) -> int:
    """How many samples to check: at least one, so that long prompts do not cost more each step."""
    lengths = (len(p) + len(c.token_ids) for p, c in zip(prompts, completions, strict=True))
    return max(1, sum(total <= CHECKED_TOKENS for total in accumulate(lengths)))


@cache
def say_rows_stay(kind: str) -> None:
    """Tell that a kind of model is sampled more slowly; once, whatever number of engines has it."""
    logger.warning(
        "rows of a %s cannot join and leave a batch, so that each batch lasts until "
        "its longest response ends",
        kind,
    )


def end_ids(model: Any) -> list[int]:
    """The tokens that end a completion; there may be several.

    Raises:
        UserError: The model's generation config names none.
    """
    ends = model.generation_config.eos_token_id
    if ends is None or ends == []:
        raise UserError(
            "the model's generation config has no eos_token_id, so no completion would ever "
            "end; set `generation_config.eos_token_id` and save the model"
        )
    return [ends] if isinstance(ends, int) else list(ends)


def position_limit(config: Any) -> int | None:
    """The most tokens that a model can tell the places of; None where it has no such limit.

    Args:
        config: Of the model, as transformers has it.
    """
    text = config.get_text_config()
    limits = [getattr(text, name, None) for name in ("max_position_embeddings", "max_seq_len")]
    return next((int(limit) for limit in limits if limit is not None), None)


def without_adapter(model: Any) -> Any:
    """The transformers model in one of peft's, whose layers go on to use the adapter."""
    return model.get_base_model() if hasattr(model, "get_base_model") else model
