"""The policy: log-probabilities of learned tokens, computed only where there are any, in chunks.

Shapes: B rows of L tokens, M learned tokens of all rows, V vocabulary, H hidden size.
"""

import logging
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Annotated, Any, Self

import torch
from pydantic import AfterValidator
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint
from transformers.utils.generic import ModelOutput

from p2o.errors import UserError
from p2o.policy.attention import (
    IMPLEMENTATIONS,
    decoder_arguments,
    implementation,
    is_sparse,
    window,
)
from p2o.policy.packing import ALWAYS, Packed, Packer
from p2o.policy.rotary import forget_longest, steady_length
from p2o.sample import Sample

logger = logging.getLogger(__name__)

WIDE = (torch.float32, torch.float64)
CHECKED = 32
"""Tokens on which a policy is compared with its model."""


def _is_backend(name: str) -> str:
    if name not in torch.compiler.list_backends(exclude_tags=()):
        raise ValueError("no such backend")
    return name


Backend = Annotated[str, AfterValidator(_is_backend), "with a backend of torch, such as inductor"]


class CausalPolicy(nn.Module):
    """A causal language model that returns log-probabilities of responses.

    The vocabulary-sized logits, not the model, run out of memory first. So they are made at
    response positions only, a chunk at a time, and are computed again in the backward pass when
    there is more than one chunk. The model itself makes them of hidden states, so that soft caps,
    scales and biases are its own.

    The model stays in evaluation mode, in training too: the policy that is updated must be the one
    that was sampled. That switches off whatever a model does at random, be it dropout, layers that
    are skipped or the noise of a router.

    Args:
        model: A transformers causal language model.
        temperature: Divides the logits: the temperature the tokens were sampled at, 1 for greedy.
        chunk_tokens: Response tokens whose logits are held at a time.
        entropy_gradient: Whether entropies carry gradient, which a bonus needs.
        compile_backend: Of ``torch.compile`` for the layers; None leaves them as they are.

    Raises:
        UserError: There is no such backend.
    """

    def __init__(
        self,
        model: nn.Module,
        temperature: float,
        chunk_tokens: int = 4096,
        entropy_gradient: bool = False,
        compile_backend: Backend | None = None,
    ) -> None:
        super().__init__()
        self.model: Any = model.eval()
        self._run_layers = run_layers
        if compile_backend is not None:
            known = torch.compiler.list_backends(exclude_tags=())
            if compile_backend not in known:
                raise UserError(f"compile_backend={compile_backend}: torch has {', '.join(known)}")
            # A function of the model: an engine may sample with the same model, and a copy of this
            # policy, which shares the function, has another one.
            self._run_layers = torch.compile(run_layers, dynamic=True, backend=compile_backend)
        self.temperature = temperature or 1.0
        self._longest: int | None = None
        self.chunk_tokens, self.entropy_gradient = chunk_tokens, entropy_gradient

    def forward(self, packed: Packed, most: int | None = None) -> tuple[Tensor, Tensor]:
        """Log-probabilities and entropies of the learned tokens, both `[M]`.

        Args:
            packed: What goes through the network.
            most: How many of the most probable tokens at each place to tell instead: their
                log-probabilities and ids, both `[M, most]`.
        """
        arguments = decoder_arguments(self.model, packed)
        forget_longest(self.model)
        hidden = self._run_layers(self.model, packed.input_ids, arguments).flatten(0, 1)
        if packed.choices:
            return self._score_choices(hidden, packed)
        return self._score(hidden[packed.predictors], packed.targets, most)

    def train(self, mode: bool = True) -> Self:
        """Set the mode of all but the model, which stays in evaluation mode."""
        super().train(mode)
        self.model.eval()
        return self

    def packer(self, pass_tokens: int) -> Packer:
        """How samples are put into rows for this policy; to be asked before it is sharded.

        Args:
            pass_tokens: The most tokens in a pass.
        """
        if self._longest is None:
            self._longest = self._longest_in_tree()
        hidden_size = self.model.config.get_text_config().hidden_size
        return Packer(
            self._longest,
            None if is_sparse(self.model) else hidden_size,
            pass_tokens,
            steady_length(self.model),
        )

    @torch.no_grad()
    def _longest_in_tree(self) -> int:
        """The longest sample that may share a row; 0 where the model does not read trees.

        Samples that part and then say the same are scored in one row and apart.
        """
        why = f"its attention is {implementation(self.model)}"
        if implementation(self.model) in IMPLEMENTATIONS:
            samples = _parting_samples(self.model.config.get_text_config().vocab_size)
            try:
                with full_precision():
                    apart, together = (
                        self._score_samples(Packer(longest), samples) for longest in (0, ALWAYS)
                    )
            except (AttributeError, IndexError, RuntimeError, TypeError, ValueError) as error:
                why = f"{type(error).__name__}: {error}"
            else:
                # What branches differ by is what seeing each other would change.
                scale = (apart - apart.mean(0)).abs().mean()
                gap = (together - apart).abs().mean(1).max()
                noise = 0.01 if self.model.dtype in WIDE else 0.1
                if gap <= max(noise * scale, 1e-6) and window(self.model):
                    return window(self.model)
                why = "a mask and positions do not tell it what a token sees"
        name = type(self.model).__name__
        logger.warning("%s reads rollouts one by one, prompts not shared (%.200s)", name, why)
        return 0

    def _score_samples(self, packer: Packer, samples: list[Sample]) -> Tensor:
        """`[S, T]` of samples of equal length, in lexicographic order."""
        [(packed, _)] = packer.pack(samples)
        log_probs, _ = self(packed.to(self.model.device))
        return log_probs.view(len(samples), -1).float().cpu()

    @contextmanager
    def at_temperature(self, temperature: float) -> Iterator[None]:
        """Another temperature for a while."""
        usual, self.temperature = self.temperature, temperature
        try:
            yield
        finally:
            self.temperature = usual

    def _score(
        self, hidden: Tensor, targets: Tensor, most: int | None = None
    ) -> tuple[Tensor, Tensor]:
        if len(hidden) <= self.chunk_tokens:
            return self._score_chunk(hidden, targets, None, most)
        chunks = [
            checkpoint(self._score_chunk, *chunk, None, most, use_reentrant=False)
            for chunk in zip(
                hidden.split(self.chunk_tokens), targets.split(self.chunk_tokens), strict=True
            )
        ]
        log_probs, entropies = zip(*chunks, strict=True)  # type: ignore[arg-type]
        return torch.cat(log_probs), torch.cat(entropies)

    def _score_choices(self, hidden: Tensor, packed: Packed) -> tuple[Tensor, Tensor]:
        """Tokens of one place share its logits."""
        places, which = packed.predictors.unique_consecutive(return_inverse=True)
        chunks = []
        for start in range(0, len(places), self.chunk_tokens):
            part = places[start : start + self.chunk_tokens]
            inside = (which >= start) & (which < start + len(part))
            arguments = hidden[part], packed.targets[inside], which[inside] - start
            chunks.append(checkpoint(self._score_chunk, *arguments, use_reentrant=False))
        log_probs, entropies = zip(*chunks, strict=True)  # type: ignore[arg-type]
        return torch.cat(log_probs), torch.cat(entropies)

    def _score_chunk(
        self,
        hidden: Tensor,
        targets: Tensor,
        which: Tensor | None = None,
        most: int | None = None,
    ) -> tuple[Tensor, Tensor]:
        """See `forward`; `which` tells of each target the place that predicts it."""
        logits = self._logits(hidden, targets[: len(hidden)])
        logits = logits.to(torch.promote_types(logits.dtype, torch.float32))
        if self.temperature != 1:
            logits = logits / self.temperature
        log_probs = logits.log_softmax(-1)
        with torch.set_grad_enabled(torch.is_grad_enabled() and self.entropy_gradient):
            entropies = -(log_probs.exp() * log_probs).sum(-1)
        if most is not None:
            return log_probs.topk(min(most, log_probs.shape[-1]))
        if which is not None:
            return log_probs[which, targets], entropies[which]
        return log_probs.gather(-1, targets[:, None])[:, 0], entropies

    def _logits(self, hidden: Tensor, targets: Tensor) -> Tensor:
        """What the model makes of hidden states, `[M, V]`; its inputs matter no more."""
        with _answering(self.model.get_decoder(), _Decoded(hidden[None])):
            return self.model(input_ids=targets[None], use_cache=False).logits[0]

    @torch.no_grad()
    def check_model(self) -> None:
        """Compare what is trained with what the model says, on a few tokens.

        Raises:
            UserError: Log-probabilities change from one pass to the next, or are not the model's.
        """
        vocabulary = self.model.config.get_text_config().vocab_size
        generator = torch.Generator().manual_seed(0)
        ids = torch.randint(vocabulary, (1, CHECKED), generator=generator)
        [(packed, _)] = Packer().pack([Sample.of(ids[0, :1].tolist(), ids[0, 1:].tolist())])
        packed, ids = packed.to(self.model.device), ids.to(self.model.device)
        training = self.training
        self.train()
        with full_precision():
            found, again = (self(packed)[0] for _ in range(2))
            logits = self.model(ids).logits[0, :-1]
        self.train(training)
        logits = logits.to(torch.promote_types(logits.dtype, torch.float32)) / self.temperature
        expected = logits.log_softmax(-1).gather(-1, ids[0, 1:, None])[:, 0]
        exact = next(self.model.parameters()).dtype in (torch.float32, torch.float64)
        tolerance = 1e-3 if exact else 0.1
        name = type(self.model).__name__
        if not torch.allclose(found, again, atol=tolerance):
            raise UserError(
                f"{name} is random: log-probabilities of the same tokens differ by "
                f"{_gap(found, again):.3g} from one pass to the next, so that what is trained is "
                "not what was sampled; set the field of its configuration to 0, among the options"
            )
        if not torch.allclose(found, expected, atol=tolerance):
            raise UserError(
                f"{name} says other log-probabilities than p2o would train (they differ by "
                f"{_gap(found, expected):.3g}): it does more than pass tokens to its decoder and "
                "hidden states to its head; choose another model"
            )


@dataclass
class _Decoded(ModelOutput):
    """A decoder's answer that holds hidden states `[1, M, H]`; whatever else is asked is None."""

    last_hidden_state: Tensor

    def __getattr__(self, name: str) -> None:
        if name.startswith("__"):
            raise AttributeError(name)


@contextmanager
def _answering(decoder: Any, answer: _Decoded) -> Iterator[None]:
    """Let a decoder give this answer, whatever it is asked."""
    own = decoder.__dict__.get("forward")
    decoder.forward = lambda *_, **__: answer
    try:
        yield
    finally:
        del decoder.forward
        if own is not None:
            decoder.forward = own


@contextmanager
def full_precision() -> Iterator[None]:
    """Multiply float32 as float32, also where a run lets a GPU round it to TF32."""
    usual = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision("highest")
    try:
        yield
    finally:
        torch.set_float32_matmul_precision(usual)


def run_layers(model: Any, input_ids: Tensor, arguments: Mapping[str, Any]) -> Tensor:
    """Hidden states `[B, L, H]` that a model makes logits of.

    Args:
        model: A transformers causal language model.
        input_ids: `[B, L]`.
        arguments: See `p2o.policy.attention.decoder_arguments`.
    """
    output = model.get_decoder()(input_ids=input_ids, use_cache=False, **arguments)
    return output.last_hidden_state


def _parting_samples(vocabulary: int) -> list[Sample]:
    """Samples that begin alike, part and end alike, in lexicographic order."""
    generator = torch.Generator().manual_seed(0)
    start, end, *branches = torch.randint(vocabulary, (8, 8), generator=generator).tolist()
    return [Sample.of(start, [*branch, *end]) for branch in sorted(branches)]


def _gap(found: Tensor, expected: Tensor) -> float:
    return (found - expected).abs().max().item()
