"""After every push of weights: do engine and trainer still speak of the same policy?

A push that hangs is seen. One that ships nothing, or only half, is not: training goes on, rewards
move a little, and weeks later somebody finds that a part of the weights never arrived. So both
sides give the log-probabilities of a few fixed sequences, which have to agree; and so have those of
the first tokens that are sampled.
"""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from p2o.errors import EngineError
from p2o.policy.causal import CausalPolicy
from p2o.policy.likeness import Likeness, noise_of, probe_tokens
from p2o.policy.packing import Packer
from p2o.rollout.engine import Completion, SamplingParameters
from p2o.sample import Sample

NOISE = 1e-4
"""Mean change of a log-probability that rounding alone can make."""
SAMPLES, SAMPLED_TOKENS = 4, 64
"""Completions whose log-probabilities are compared, and tokens of each."""


class WeightProbe:
    """Compares an engine with the trainer after each push.

    Args:
        bound: Largest mean difference of log-probabilities, in nats a token, that different kernels
            and number formats may make.
    """

    def __init__(self, bound: float) -> None:
        self.bound = bound
        self._before: tuple[Tensor, Tensor] | None = None

    def check(self, engine: Tensor, trainer: Tensor) -> None:
        """Compare log-probabilities of the same tokens.

        Args:
            engine: `[S, T]`, by each copy of the engine's weights after a push.
            trainer: `[T]`, by the policy that was pushed.

        Raises:
            EngineError: They disagree, or the engine's have stayed where they were though the
                trainer's have moved.
        """
        gap = (engine - trainer).abs().mean(dim=1).max().item()
        if not gap <= self.bound:
            raise EngineError(
                f"after a push of weights, engine and trainer differ by {gap:.3g} nats a token, "
                f"more than probe_bound={self.bound} of the engine: some weights did not arrive"
            )
        if self._before is not None and self._before[0].shape == engine.shape:
            stayed = bool((engine == self._before[0]).all(dim=1).any())
            moved = (trainer - self._before[1]).abs().mean().item()
            if stayed and moved > NOISE:
                raise EngineError(
                    "after a push of weights the engine's log-probabilities are what they were, "
                    f"though the trainer's have moved by {moved:.3g} nats a token: no weights "
                    "arrived"
                )
        self._before = engine.clone(), trainer.clone()


def check_sampled(
    policy: CausalPolicy,
    bound: float,
    prompts: Sequence[Sequence[int]],
    completions: Sequence[Completion],
    sampling: SamplingParameters,
) -> None:
    """Compare the engine's log-probabilities of what it has sampled with the policy's.

    An engine can score text as the policy does and yet sample otherwise, where a model's generation
    config sets what a request leaves open. Collective for a sharded policy.

    Args:
        policy: What the engine is to sample from.
        bound: Largest mean difference, in nats a token; a low temperature magnifies what rounding
            makes, and the bound with it.
        prompts: What was asked.
        completions: What came; the first tokens of the first few are looked at.
        sampling: How they were drawn; see `SamplingParameters.whole`.

    Raises:
        EngineError: They differ by more.
    """
    few, start = completions[:SAMPLES], slice(SAMPLED_TOKENS)
    responses = [completion.token_ids[start] for completion in few]
    with policy.at_temperature(sampling.temperature):
        trainer = policy_log_probs(policy, list(zip(prompts, responses, strict=False)))
    engine = torch.tensor([value for completion in few for value in completion.log_probs[start]])
    gap = (engine - trainer).abs().mean().item()
    if not gap <= bound / min(1.0, sampling.temperature):
        raise EngineError(
            f"the engine's log-probabilities of what it has sampled differ from the policy's by "
            f"{gap:.3g} nats a token, more than its probe_bound={bound}: it samples from another "
            "distribution, or gives log-probabilities of another (a server of vLLM's needs "
            "--logprobs-mode processed_logprobs --generation-config vllm)"
        )


@torch.no_grad()
def policy_log_probs(
    policy: CausalPolicy, pairs: Sequence[tuple[Sequence[int], Sequence[int]]]
) -> Tensor:
    """A policy's log-probabilities of all tokens of each response after its context, `[T]`.

    Collective for a sharded policy.
    """
    training = policy.training
    policy.eval()
    device = next(policy.parameters()).device
    scored = []
    for context, response in pairs:
        [(packed, _)] = Packer().pack([Sample.of(context, response)])
        scored.append(policy(packed.to(device))[0].float().cpu())
    policy.train(training)
    return torch.cat(scored)


def sequence_log_probs(policy: CausalPolicy, sequences: Sequence[Sequence[int]]) -> Tensor:
    """Log-probabilities at temperature 1 of all tokens but the first of each sequence, `[T]`."""
    with policy.at_temperature(1.0):
        return policy_log_probs(policy, [(ids[:1], ids[1:]) for ids in sequences])


def policy_likeness(policy: Any, compute_dtype: torch.dtype | None) -> Likeness:
    """How the policy being trained scores the fixed tokens; collective for a sharded one.

    Args:
        policy: A `CausalPolicy`, which FSDP1 may have wrapped.
        compute_dtype: In which its layers work, where that is not the type of the weights.
    """
    parameter = next(policy.parameters())
    noise = noise_of(compute_dtype or parameter.dtype, parameter.device)
    return Likeness(sequence_log_probs(policy, probe_tokens(policy.model)), noise)
