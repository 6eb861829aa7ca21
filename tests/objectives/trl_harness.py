"""One optimiser step by TRL and by p2o, on the same model, completions and rewards.

TRL's own trainers run unchanged: their sampler, advantages, old log-probabilities, loss, shuffling,
splitting and scaling. Only what they would generate is replaced. p2o's side is samples, `collate`
and `P2OModule` under a Lightning Trainer. Both sides hand back the loss and the gradient of the
step.

Shapes: G groups, K responses in each, N = G * K rows.
"""

import copy
from collections.abc import Callable, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from unittest import mock

import torch
from datasets import Dataset
from lightning.pytorch import Callback, Trainer
from tokenizers import Tokenizer
from tokenizers.models import WordLevel
from torch import Tensor, nn
from torch.utils.data import DataLoader
from transformers import (
    PreTrainedTokenizerFast,
    Qwen2Config,
    Qwen2ForCausalLM,
    TrainerCallback,
)
from transformers.models.qwen2 import modeling_qwen2
from trl.kernels import chunked_logprob
from trl.trainer.grpo_config import GRPOConfig
from trl.trainer.grpo_trainer import GRPOTrainer
from trl.trainer.rloo_config import RLOOConfig
from trl.trainer.rloo_trainer import RLOOTrainer

from p2o.learning.minibatch import collate
from p2o.learning.module import P2OModule
from p2o.objectives import EngineCorrection, KLPenalty, PolicyLoss
from p2o.policy.packing import Packed
from p2o.sample import Sample

VOCABULARY = 40
SPREAD = 0.15
"""Standard deviation of initial weights: probabilities are far from uniform."""
PASS_TOKENS = 64
"""So few that a micro-batch has several passes."""


@contextmanager
def double_precision():
    """Everything in float64, also what TRL, transformers and p2o compute in float32 by name.

    In float32 the two orders of summation alone differ by about the tolerance.
    """

    class WideTorch:
        float32 = torch.float64

        def __getattr__(self, name: str) -> Any:
            return getattr(torch, name)

    before = torch.get_default_dtype()
    torch.set_default_dtype(torch.float64)
    try:
        with (
            mock.patch.object(torch.Tensor, "float", torch.Tensor.double),
            mock.patch.object(chunked_logprob, "torch", WideTorch()),
            mock.patch.object(modeling_qwen2, "torch", WideTorch()),
        ):
            yield
    finally:
        torch.set_default_dtype(before)


@dataclass
class Case:
    """What both sides get.

    Attributes:
        prompts: `[G]` token ids.
        responses: `[G]`, K each, token ids.
        rewards: `[G, K]`.
        model: The policy to update.
        behaviour: Weights that sampled the responses; None when they are the policy's.
        reference: The policy that a KL penalty refers to; None without one.
        sampled: `[N]` of `[T]`, the engine's log-probabilities, None for a response that it has
            none of; None for an engine that says nothing.
    """

    prompts: list[tuple[int, ...]]
    responses: list[list[tuple[int, ...]]]
    rewards: Tensor
    model: Qwen2ForCausalLM
    behaviour: Qwen2ForCausalLM | None = None
    reference: Qwen2ForCausalLM | None = None
    sampled: list[Tensor | None] | None = None

    @property
    def pairs(self) -> list[tuple[tuple[int, ...], tuple[int, ...]]]:
        """`[N]` prompt and response."""
        return [
            (prompt, response)
            for prompt, group in zip(self.prompts, self.responses, strict=True)
            for response in group
        ]

    @property
    def lengths(self) -> Tensor:
        """`[N]` response lengths."""
        return torch.tensor([len(response) for _, response in self.pairs])


@dataclass
class Step:
    """One optimiser step: its loss, summed over micro-batches, and the gradients before clipping.

    Attributes:
        loss: Of the whole step.
        gradients: By parameter name.
        advantages: `[G, K]` as the side computed them.
        micro_batches: Rows of each micro-batch, as places in the flattened `[G, K]`; TRL's alone.
        passes: What went through the network; p2o's alone.
        metrics: What was logged of the step; p2o's alone.
    """

    loss: float = 0.0
    gradients: dict[str, Tensor] = field(default_factory=dict)
    advantages: Tensor = field(default_factory=lambda: torch.zeros(0))
    micro_batches: list[list[int]] = field(default_factory=list)
    passes: list[Packed] = field(default_factory=list)
    metrics: dict[str, float] = field(default_factory=dict)


def tiny_qwen2(seed: int) -> Qwen2ForCausalLM:
    """A random model."""
    torch.manual_seed(seed)
    return Qwen2ForCausalLM(
        Qwen2Config(
            vocab_size=VOCABULARY,
            hidden_size=16,
            intermediate_size=32,
            num_hidden_layers=2,
            num_attention_heads=4,
            num_key_value_heads=2,
            max_position_embeddings=64,
            initializer_range=SPREAD,
            tie_word_embeddings=False,
            bos_token_id=None,
            eos_token_id=1,
            pad_token_id=0,
        )
    )


def make_case(rewards: Sequence[Sequence[float]], *, drift: float = 0.0, seed: int = 2) -> Case:
    """Random prompts and responses of varying length.

    Args:
        rewards: `[G, K]`.
        drift: Noise on each weight, in units of the initial spread, that tells the policy that
            sampled the responses from the one to update; 0 makes the case on-policy. Nothing else
            depends on it.
        seed: Of model, tokens and noise.
    """
    model = tiny_qwen2(seed)
    generator, noise = (torch.Generator().manual_seed(seed + more) for more in (0, 1))

    def tokens(low: int, high: int) -> tuple[int, ...]:
        length = int(torch.randint(low, high, (), generator=generator))
        return tuple(torch.randint(2, VOCABULARY, (length,), generator=generator).tolist())

    behaviour = None
    if drift:
        behaviour = copy.deepcopy(model)
        with torch.no_grad():
            for parameter in behaviour.parameters():
                parameter += drift * SPREAD * torch.randn(parameter.shape, generator=noise)
    return Case(
        prompts=[tokens(2, 7) for _ in rewards],
        # Every other response ends with EOS; the longest are nine tokens, the shortest one.
        responses=[
            [(*tokens(1, 9), 1) if place % 2 else tokens(1, 10) for place in range(len(group))]
            for group in rewards
        ],
        rewards=torch.tensor(rewards),
        model=model,
        behaviour=behaviour,
    )


def tiny_tokenizer() -> PreTrainedTokenizerFast:
    """Words w0, w1, ...; TRL decodes with it, and what it decodes is not used."""
    words = {f"w{index}": index for index in range(VOCABULARY)}
    return PreTrainedTokenizerFast(
        tokenizer_object=Tokenizer(WordLevel(words, unk_token="w2")),
        pad_token="w0",
        eos_token="w1",
        unk_token="w2",
    )


class _Injected:
    """Mixed into a TRL trainer: injects completions, records loss and micro-batches."""

    case: Case
    step: Step

    def _send_telemetry(self) -> None:
        """TRL announces each trainer to the hub; a test does not."""

    def _tokenize_prompts(self, prompts: list[str]) -> tuple[list[list[int]], None, dict[str, Any]]:
        size = self.case.rewards.shape[1]
        assert prompts == [str(index) for index in range(len(prompts) // size) for _ in range(size)]
        return [list(self.case.prompts[int(prompt)]) for prompt in prompts], None, {}

    def _generate_single_turn(
        self, prompt_ids: Any, images: Any, multimodal_fields: Any, *_: Any, **__: Any
    ) -> Any:
        ids = [list(response) for _, response in self.case.pairs]
        if not isinstance(self, GRPOTrainer):
            return ids
        log_probs = self.case.sampled and [
            [None] * len(response) if values is None else values.tolist()
            for response, values in zip(ids, self.case.sampled, strict=True)
        ]
        return ids, log_probs

    def _generate_and_score_completions(self, inputs: Any) -> dict[str, Any]:
        model: nn.Module = self.model  # type: ignore[attr-defined]
        current = copy.deepcopy(model.state_dict())
        if self.case.behaviour is not None:
            model.load_state_dict(self.case.behaviour.state_dict())
        output = super()._generate_and_score_completions(inputs)  # type: ignore[misc]
        model.load_state_dict(current)
        self.step.advantages = output["advantages"].view(self.case.rewards.shape)
        # Goes through TRL's shuffling and splitting with the rest.
        output["place"] = torch.arange(self.case.rewards.numel())
        return output

    def training_step(self, model: nn.Module, inputs: Any, num_items_in_batch: Any) -> Tensor:
        loss = super().training_step(model, inputs, num_items_in_batch)  # type: ignore[misc]
        self.step.loss += loss.item()
        return loss

    def _compute_loss(self, model: nn.Module, inputs: Any) -> Tensor:
        self.step.micro_batches.append(inputs["place"].tolist())
        return super()._compute_loss(model, inputs)  # type: ignore[misc]


class _InjectedGRPO(_Injected, GRPOTrainer):
    pass


class _InjectedRLOO(_Injected, RLOOTrainer):
    pass


class _Gradients(TrainerCallback):
    def __init__(self, step: Step) -> None:
        self.step = step

    def on_pre_optimizer_step(self, *_: Any, model: nn.Module, **__: Any) -> None:
        self.step.gradients = _gradients(model)


def _gradients(model: nn.Module) -> dict[str, Tensor]:
    found = {}
    for name, parameter in model.named_parameters():
        assert parameter.grad is not None, name
        found[name] = parameter.grad.clone()
    return found


def trl_step(
    case: Case, folder: Path, *, accumulation: int, rloo: bool = False, **settings: Any
) -> Step:
    """One optimiser step of TRL's GRPOTrainer or RLOOTrainer.

    Args:
        case: What is trained on.
        folder: TRL's output directory.
        accumulation: Micro-batches in the step.
        rloo: Whether to run RLOOTrainer.
        settings: Of its config.
    """
    groups, size = case.rewards.shape
    model = copy.deepcopy(case.model)
    if case.reference is not None:
        # TRL loads its reference policy from where the policy's configuration says.
        model.config._name_or_path = str(folder / "reference")
        case.reference.save_pretrained(folder / "reference")
    config = (RLOOConfig if rloo else GRPOConfig)(
        output_dir=str(folder),
        per_device_train_batch_size=groups * size // accumulation,
        gradient_accumulation_steps=accumulation,
        num_generations=size,
        # Two passes over the same completions make TRL compute old log-probabilities.
        num_iterations=1 if case.behaviour is None else 2,
        max_steps=1,
        max_grad_norm=0.0,
        shuffle_dataset=False,
        gradient_checkpointing=False,
        use_cpu=True,
        bf16=False,
        report_to="none",
        save_strategy="no",
        logging_strategy="no",
        disable_tqdm=True,
        **{"beta": 0.0, **settings},
    )
    step = Step()
    trainer = (_InjectedRLOO if rloo else _InjectedGRPO)(
        model=model,
        reward_funcs=lambda prompts, **_: case.rewards.flatten().tolist(),
        args=config,  # type: ignore[arg-type]
        train_dataset=Dataset.from_dict({"prompt": [str(index) for index in range(groups)]}),
        processing_class=tiny_tokenizer(),
        callbacks=[_Gradients(step)],
    )
    trainer.case, trainer.step = case, step
    # What TRL's vLLM would have sampled is given: from here on it corrects for it, and no more.
    trainer.use_vllm = case.sampled is not None
    trainer.train()
    return step


class _LightningStep(Callback):
    def __init__(self, step: Step) -> None:
        self.step = step

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: Any, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        if "train/loss" in trainer.callback_metrics:
            self.step.metrics = {k: v.item() for k, v in trainer.callback_metrics.items()}
            self.step.loss = self.step.metrics["train/loss"]

    def on_before_optimizer_step(self, trainer: Trainer, pl_module: Any, optimizer: Any) -> None:
        self.step.gradients = _gradients(pl_module.policy.model)


def p2o_step(
    case: Case,
    loss: PolicyLoss,
    advantages: Callable[[Tensor], Tensor],
    *,
    accumulation: int = 1,
    temperature: float = 1.0,
    rows: Sequence[int] | None = None,
    total_tokens: int | None = None,
    kl: KLPenalty | None = None,
    entropy_coefficient: float = 0.0,
    correction: EngineCorrection | None = None,
    pass_tokens: int = PASS_TOKENS,
) -> Step:
    """One optimiser step of p2o; samples without a gradient are left out, as the loader does.

    Args:
        case: What is trained on.
        loss: A policy loss.
        advantages: From rewards `[G, K]` to advantages `[G, K]`.
        accumulation: Micro-batches in the step, not all of the same size.
        temperature: At which the responses count as sampled.
        rows: Which of the N responses take part; None for all.
        total_tokens: The step's; None for those of all N responses.
        kl: What divergence from the case's reference costs.
        entropy_coefficient: Weight of the entropy bonus.
        correction: Weights for the case's `sampled` log-probabilities.
        pass_tokens: The most tokens in a pass; the default makes several of a micro-batch.
    """
    step = Step(advantages=advantages(case.rewards))
    module = _module(
        case.model,
        temperature,
        policy_loss=loss,
        kl=kl,
        entropy_coefficient=entropy_coefficient,
        correction=correction,
        pass_tokens=pass_tokens,
    )
    streams: dict[str, Sequence[Tensor | None]] = {
        name: score(case, model, temperature)
        for name, model in (
            ("old_log_probs", case.behaviour),
            ("reference_log_probs", case.reference),
        )
        if model is not None
    }
    if case.sampled is not None:
        streams["sampled_log_probs"] = case.sampled
    values = step.advantages.flatten().tolist()
    samples = [
        Sample.of(*case.pairs[index]).with_streams(
            advantages=values[index], **{name: each[index] for name, each in streams.items()}
        )
        for index in (range(len(values)) if rows is None else rows)
        if values[index] or kl is not None or entropy_coefficient
    ]
    tokens = int(case.lengths.sum()) if total_tokens is None else total_tokens
    names = ("advantages", *streams)
    batches = [
        collate(samples[start::accumulation], module.packer(), names, tokens, len(values))
        for start in range(accumulation)
    ]
    step.passes = [packed for batch in batches for packed in batch.passes]
    Trainer(
        accelerator="cpu",
        max_epochs=1,
        accumulate_grad_batches=accumulation,
        callbacks=[_LightningStep(step)],
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        use_distributed_sampler=False,
    ).fit(module, DataLoader(batches, batch_size=None))  # type: ignore[arg-type]
    return step


def log_ratios(case: Case, temperature: float) -> list[Tensor]:
    """`[N]` of `[T]`: log-probability under the policy minus that under what sampled."""
    assert case.behaviour is not None
    scored = [score(case, model, temperature) for model in (case.model, case.behaviour)]
    return [new - old for new, old in zip(*scored, strict=True)]


def score(case: Case, model: nn.Module, temperature: float) -> list[Tensor]:
    """`[N]` of `[T]` log-probabilities of the responses."""
    module = _module(model, temperature, policy_loss=None)
    samples = [Sample.of(*pair) for pair in case.pairs]
    packed = module.packer().pack(samples)
    flat = torch.cat(module.score([rows for rows, _ in packed]))
    order = [index for _, indices in packed for index in indices]
    parts = flat.split([samples[index].learned for index in order])
    return [values for _, values in sorted(zip(order, parts, strict=True))]


def _module(model: nn.Module, temperature: float, **arguments: Any) -> P2OModule:
    return P2OModule(
        model=copy.deepcopy(model),
        optimizer=lambda parameters: torch.optim.SGD(parameters, lr=0.0),
        temperature=temperature,
        **arguments,
    )


def gap(found: Step, wanted: Step, factor: float = 1.0) -> float:
    """The largest relative difference of any parameter's gradient, in norm, after `factor`."""
    assert found.gradients.keys() == wanted.gradients.keys()
    return max(
        ((found.gradients[name] - factor * value).norm() / (factor * value).norm()).item()
        for name, value in wanted.gradients.items()
    )
