"""The rollout engine on transformers' own ``generate``."""

import copy
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Self

import torch
from torch import Tensor, nn
from transformers import (
    GenerationConfig,
    LogitsProcessor,
    LogitsProcessorList,
    StoppingCriteria,
    StoppingCriteriaList,
    TemperatureLogitsWarper,
    TopKLogitsWarper,
    TopPLogitsWarper,
)

from p2o.errors import UserError
from p2o.hints import Count, Positive
from p2o.policy import CausalPolicy
from p2o.rollout.engine import Completion, SamplingParameters, check_lengths
from p2o.rollout.probe import check_sampled
from p2o.rollout.weights import copy_weights, fingerprint, plain_weights, whole_copy
from p2o.sharding import is_sharded, readable_weights


class HFEngine:
    """Samples with the policy itself, in batches of prompts of similar length.

    Args:
        model: The transformers model; shared with the trainer, so that updates need no copy.
        max_batch_size: Prompts sampled together.
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
        self.max_length = position_limit(self.model)
        self.end_ids = end_ids(self.model)
        self._version = ""
        self._checked = False

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
        order = sorted(range(len(prompts)), key=lambda index: (len(prompts[index]), index))
        completions: dict[int, Completion] = {}
        training = self.model.training
        self.model.eval()
        for start in range(0, len(order), self.max_batch_size):
            indices = order[start : start + self.max_batch_size]
            batch = self._generate_batch(
                [prompts[index] for index in indices], sampling, [seeds[index] for index in indices]
            )
            completions.update(zip(indices, batch, strict=True))
        in_order = [completions[index] for index in range(len(prompts))]
        if prompts and sampling.whole and not self._checked:
            check_sampled(
                CausalPolicy(self.model, 1.0), self.probe_bound, prompts, in_order, sampling
            )
            self._checked = True
        self.model.train(training)
        return in_order

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

    @torch.no_grad()
    def _generate_batch(
        self,
        prompts: Sequence[Sequence[int]],
        sampling: SamplingParameters,
        seeds: Sequence[int],
    ) -> list[Completion]:
        width = max(map(len, prompts))
        input_ids = torch.full((len(prompts), width), self.end_ids[0])
        attention_mask = torch.zeros_like(input_ids)
        for row, prompt in enumerate(prompts):
            input_ids[row, width - len(prompt) :] = torch.tensor(prompt)
            attention_mask[row, width - len(prompt) :] = 1
        recorder = _LogProbRecorder()
        settings = GenerationConfig(
            max_new_tokens=sampling.max_new_tokens,
            do_sample=False,
            eos_token_id=[*self.end_ids, *sampling.stop_token_ids],
            pad_token_id=self.end_ids[0],
        )
        plain = without_adapter(self.model)
        with _no_generation_config(plain):
            output = plain.generate(
                input_ids.to(self.model.device),
                attention_mask=attention_mask.to(self.model.device),
                generation_config=settings,
                logits_processor=_processors(sampling, seeds, recorder),
                stopping_criteria=StoppingCriteriaList([recorder]),
                **_no_router_loss(plain),
            )[:, width:].cpu()
        columns = recorder.columns or [torch.zeros(len(prompts))] * output.shape[1]
        log_probs = torch.stack(columns, dim=1).cpu()
        return [
            _cut(tokens.tolist(), row.tolist(), {*self.end_ids, *sampling.stop_token_ids})
            for tokens, row in zip(output, log_probs, strict=True)
        ]


def _cut(tokens: list[int], log_probs: list[float], stops: set[int]) -> Completion:
    ends = [position for position, token in enumerate(tokens) if token in stops]
    length = ends[0] + 1 if ends else len(tokens)
    return Completion(
        tuple(tokens[:length]), "stop" if ends else "length", tuple(log_probs[:length])
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


def position_limit(model: Any) -> int | None:
    """The most tokens that a model can tell the places of; None where it has no such limit."""
    config = model.config.get_text_config()
    limits = [getattr(config, name, None) for name in ("max_position_embeddings", "max_seq_len")]
    return next((int(limit) for limit in limits if limit is not None), None)


def without_adapter(model: Any) -> Any:
    """The transformers model in one of peft's, whose layers go on to use the adapter."""
    return model.get_base_model() if hasattr(model, "get_base_model") else model


@contextmanager
def _no_generation_config(model: Any) -> Iterator[None]:
    """Take a model's generation config away, which fills in whatever else is left open.

    Most of its fields bend the distribution, and log-probabilities would be off.
    """
    own, model.generation_config = model.generation_config, GenerationConfig()
    try:
        yield
    finally:
        model.generation_config = own


def _no_router_loss(model: Any) -> dict[str, bool]:
    """Keep a mixture of experts from computing a loss that is for training, and fails here."""
    wanted = getattr(model.config.get_text_config(), "output_router_logits", False)
    return {"output_router_logits": False} if wanted else {}


def _processors(
    sampling: SamplingParameters, seeds: Sequence[int], recorder: "_LogProbRecorder"
) -> LogitsProcessorList:
    """Processors that leave the sampled token as the arg max; none at temperature 0."""
    processors = LogitsProcessorList()
    if sampling.temperature == 0:
        return processors
    processors.append(TemperatureLogitsWarper(float(sampling.temperature)))
    processors.append(recorder.processor())
    if sampling.top_k:
        processors.append(TopKLogitsWarper(sampling.top_k))
    if sampling.top_p < 1:
        processors.append(TopPLogitsWarper(sampling.top_p))
    processors.append(_SeededChoice(seeds, sampling.max_new_tokens))
    return processors


class _SeededChoice(LogitsProcessor):
    """Draws by inverse distribution function from numbers that each row's own seed gives."""

    def __init__(self, seeds: Sequence[int], max_new_tokens: int) -> None:
        generators = [torch.Generator().manual_seed(seed) for seed in seeds]
        self.draws = torch.stack(
            [torch.rand(max_new_tokens, generator=g, dtype=torch.float64) for g in generators]
        )
        self.position = 0

    def __call__(self, input_ids: Any, scores: Any) -> Any:
        cumulative = scores.double().softmax(-1).cumsum(-1)
        draw = self.draws[:, self.position, None].to(scores.device) * cumulative[:, -1:]
        choice = torch.searchsorted(cumulative, draw, right=True).clamp_max(scores.shape[-1] - 1)
        self.position += 1
        return torch.full_like(scores, -torch.inf).scatter(1, choice, 0.0)


class _LogProbRecorder(StoppingCriteria):
    """Keeps the log-probability of each chosen token; holds one step's distribution at a time."""

    def __init__(self) -> None:
        self.columns: list[Tensor] = []
        self.log_probs: Tensor | None = None

    def processor(self) -> LogitsProcessor:
        """A processor that notes the distribution and leaves it alone."""
        recorder = self

        class Note(LogitsProcessor):
            def __call__(self, input_ids: Any, scores: Any) -> Any:
                recorder.log_probs = scores.float().log_softmax(-1)
                return scores

        return Note()

    def __call__(self, input_ids: Any, scores: Any, **kwargs: Any) -> Any:
        if self.log_probs is not None:
            self.columns.append(self.log_probs.gather(1, input_ids[:, -1:])[:, 0])
        return torch.zeros(len(input_ids), dtype=torch.bool, device=input_ids.device)
