"""Engines that keep weights of their own, which the trainer pushes to them."""

from collections.abc import Iterable, Sequence
from functools import cached_property, partial
from typing import Protocol, Self

from torch import Tensor, nn

from p2o.errors import EngineError
from p2o.policy.causal import CausalPolicy
from p2o.policy.likeness import attention_on_cpu, model_log_probs
from p2o.policy.sharding import is_sharded, readable_weights
from p2o.rollout.engine import Completion, SamplingParameters, check_lengths
from p2o.rollout.probe import SAMPLES, WeightProbe, check_sampled, sequence_log_probs
from p2o.rollout.weights import (
    build_plain,
    checkpoint_weights,
    copy_weights,
    fingerprint,
    plain_weights,
)
from p2o.running.distributed import from_rank_zero, on_rank_zero, together

PROBES, PROBE_TOKENS = 2, 64
"""Sequences that are compared after a push, and tokens of each."""


class Backend(Protocol):
    """What a particular engine can do.

    Attributes:
        version: Which weights it has; for `PushedEngine` to note.
    """

    version: str

    @property
    def max_length(self) -> int | None:
        """Tokens of a prompt and its completion together; None where there is no limit."""
        ...

    def load(self, weights: Iterable[tuple[str, Tensor]]) -> None:
        """Take weights as a checkpoint has them, and forget what was computed with others."""
        ...

    def sample(
        self,
        prompts: Sequence[Sequence[int]],
        sampling: SamplingParameters,
        seeds: Sequence[int],
    ) -> list[Completion]:
        """One completion for each prompt, in order."""
        ...

    def score(self, sequences: Sequence[Sequence[int]]) -> Tensor:
        """Log-probabilities at temperature 1 of all tokens but the first of each.

        `[S, T]`, a row for each copy of the weights.
        """
        ...

    def release(self) -> None:
        """Give memory back until the next call of `load`; weights may be lost."""
        ...


class PushedEngine:
    """A rollout engine that pushes weights when, and only when, they have changed.

    After each push a probe compares it with the policy, or with the model whose weights stay.

    Args:
        backend: Does the work.
        model: The transformers model whose weights it has first.
        probe_bound: See `WeightProbe`.
        frozen: Weights that stay, as pairs of name and tensor from `plain_weights`; None follows
            the policy.
    """

    def __init__(
        self,
        backend: Backend,
        model: nn.Module,
        probe_bound: float,
        frozen: Sequence[tuple[str, Tensor]] | None = None,
    ) -> None:
        self.backend, self.model, self.probe_bound = backend, model, probe_bound
        self._policy: CausalPolicy | None = None
        self.frozen = frozen
        self._probe = WeightProbe(probe_bound)
        self._probe_ids: list[list[int]] = []
        self._checked = False
        # Several frozen copies may share one backend.
        self._version = "" if frozen is None else f"frozen {id(frozen)}"

    def generate(
        self,
        prompts: Sequence[Sequence[int]],
        sampling: SamplingParameters,
        seeds: Sequence[int],
    ) -> list[Completion]:
        """Sample one completion for each prompt; see `RolloutEngine.generate`.

        Raises:
            UserError: A prompt leaves no room for a completion.
            EngineError: The engine died, has other weights than the trainer, samples otherwise, or
                ends responses of its own accord.
        """
        self._push(prompts)
        sample = partial(self._sample, prompts, sampling, seeds)
        if self._policy is None or self._checked or not sampling.whole:
            return sample()
        # The comparison is collective: either all ranks get there or none.
        completions = together(sample)
        self._check_sampled(self._policy, prompts, completions, sampling)
        return completions

    @property
    def max_length(self) -> int | None:
        """Tokens of a prompt and its completion together; None where there is no limit."""
        return self.backend.max_length

    def update_weights(self, policy: CausalPolicy) -> None:
        """Follow `policy`; its weights go over with the next generation, if they have changed."""
        self._policy, self.model = policy, policy.model
        self._version = fingerprint(self.model)

    def release(self) -> None:
        """See `RolloutEngine.release`."""
        if self.backend.version:
            self.backend.release()
            self.backend.version = ""

    def frozen_copy(self) -> Self:
        """The same engine with the weights of this moment, which are kept in main memory.

        They are pushed for each use, and the policy's for the next one after it: a second set of
        weights, but no second engine.
        """
        with readable_weights(self._policy or self.model):
            weights = [(name, weight.cpu().clone()) for name, weight in plain_weights(self.model)]
        return type(self)(self.backend, self.model, self.probe_bound, weights)

    def _sample(
        self,
        prompts: Sequence[Sequence[int]],
        sampling: SamplingParameters,
        seeds: Sequence[int],
    ) -> list[Completion]:
        check_lengths(prompts, sampling, self.backend.max_length)
        completions = self.backend.sample(prompts, sampling, seeds) if prompts else []
        asked = sampling.max_new_tokens
        cut = [c for c in completions if c.finish_reason == "length" and len(c.token_ids) < asked]
        if cut:
            raise EngineError(
                f"the engine ended a response after {len(cut[0].token_ids)} tokens, though "
                f"{asked} were allowed: the model's generation config sets max_new_tokens (start "
                "a server of vLLM's with --generation-config vllm)"
            )
        return completions

    def _check_sampled(
        self,
        policy: CausalPolicy,
        prompts: Sequence[Sequence[int]],
        completions: Sequence[Completion],
        sampling: SamplingParameters,
    ) -> None:
        asked, came = from_rank_zero((list(prompts[:SAMPLES]), list(completions[:SAMPLES])))
        if asked:
            check_sampled(policy, self.probe_bound, asked, came, sampling)
            self._checked = True

    def _push(self, prompts: Sequence[Sequence[int]]) -> None:
        """Every rank takes part, whether or not it has prompts: shards are put together."""
        if not self._version:
            self._version = fingerprint(self.model)
        if self.backend.version == self._version:
            return
        if self.frozen is None:
            with readable_weights(self._policy or self.model):
                self._load(plain_weights(self.model))
        else:
            self._load(self.frozen)
        self.backend.version = self._version
        self._checked = False
        self._compare(prompts)

    def _load(self, weights: Iterable[tuple[str, Tensor]]) -> None:
        load = partial(self.backend.load, checkpoint_weights(self.model, weights))
        # All ranks fail together, but where they put shards together as they load.
        if self.frozen is None and is_sharded(self._policy or self.model):
            load()
        else:
            together(load)

    def _compare(self, prompts: Sequence[Sequence[int]]) -> None:
        # What is asked anyway, so that the text is like the policy's own; the same on all ranks.
        if not self._probe_ids:
            long = [list(p[:PROBE_TOKENS]) for p in prompts if len(p) > 1]
            self._probe_ids = from_rank_zero(long[:PROBES])
        if self._probe_ids:
            found = together(lambda: self.backend.score(self._probe_ids))
            expected = self._expected()
            together(lambda: self._probe.check(found, expected))

    def _expected(self) -> Tensor:
        """What the trainer says of the probe's tokens."""
        if self.frozen is None and self._policy is not None:
            return sequence_log_probs(self._policy, self._probe_ids)
        if self.frozen is None:
            return on_rank_zero(lambda: model_log_probs(self.model, self._probe_ids))
        return self._frozen_log_probs

    @cached_property
    def _frozen_log_probs(self) -> Tensor:
        return on_rank_zero(self._score_frozen)

    def _score_frozen(self) -> Tensor:
        """By a model that has the weights that stay, for a moment."""
        model = build_plain(self.model)
        model.set_attn_implementation(attention_on_cpu(model.config))
        copy_weights(self.frozen or (), model)
        return model_log_probs(model, self._probe_ids)
