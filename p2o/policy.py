"""The policy: log-probabilities of responses, computed only where there is one, in chunks.

Shapes: N rows, L tokens in a row (prompt, then response, then padding), T the longest response,
M response tokens of all rows, V vocabulary.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Annotated, Any, Self

import torch
from pydantic import AfterValidator
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint
from transformers.utils.generic import ModelOutput

from p2o.errors import UserError

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
        self.chunk_tokens, self.entropy_gradient = chunk_tokens, entropy_gradient

    def forward(
        self, input_ids: Tensor, prompt_lengths: Tensor, response_lengths: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Log-probabilities and entropies of response tokens, both `[N, T]`, padded with zeros.

        Args:
            input_ids: `[N, L]`, padded on the right with any token.
            prompt_lengths: `[N]`.
            response_lengths: `[N]`.
        """
        places = torch.arange(input_ids.shape[1], device=input_ids.device)
        ends = (prompt_lengths + response_lengths)[:, None]
        hidden = self._run_layers(self.model, input_ids, (places < ends).long())
        # The hidden state at one place predicts the token at the next.
        predicts = (places >= prompt_lengths[:, None] - 1) & (places < ends - 1)
        targets = input_ids.roll(-1, dims=1)[predicts]
        log_probs, entropies = self._score(hidden[predicts], targets)
        mask = response_mask(response_lengths)
        empty = log_probs.new_zeros(mask.shape)
        return empty.masked_scatter(mask, log_probs), empty.masked_scatter(mask, entropies)

    def train(self, mode: bool = True) -> Self:
        """Set the mode of all but the model, which stays in evaluation mode."""
        super().train(mode)
        self.model.eval()
        return self

    @contextmanager
    def at_temperature(self, temperature: float) -> Iterator[None]:
        """Another temperature for a while."""
        usual, self.temperature = self.temperature, temperature
        try:
            yield
        finally:
            self.temperature = usual

    def _score(self, hidden: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
        if len(hidden) <= self.chunk_tokens:
            return self._score_chunk(hidden, targets)
        chunks = [
            checkpoint(self._score_chunk, *chunk, use_reentrant=False)
            for chunk in zip(
                hidden.split(self.chunk_tokens), targets.split(self.chunk_tokens), strict=True
            )
        ]
        log_probs, entropies = zip(*chunks, strict=True)  # type: ignore[arg-type]
        return torch.cat(log_probs), torch.cat(entropies)

    def _score_chunk(self, hidden: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
        logits = self._logits(hidden, targets)
        logits = logits.to(torch.promote_types(logits.dtype, torch.float32)) / self.temperature
        log_probs = logits.log_softmax(-1)
        with torch.set_grad_enabled(torch.is_grad_enabled() and self.entropy_gradient):
            entropies = -(log_probs.exp() * log_probs).sum(-1)
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
        ids = torch.randint(vocabulary, (1, CHECKED), generator=generator).to(self.model.device)
        lengths = ids.new_tensor([1]), ids.new_tensor([CHECKED - 1])
        training = self.training
        self.train()
        found, again = (self(ids, *lengths)[0] for _ in range(2))
        self.train(training)
        logits = self.model(ids).logits[:, :-1]
        logits = logits.to(torch.promote_types(logits.dtype, torch.float32)) / self.temperature
        expected = logits.log_softmax(-1).gather(-1, ids[:, 1:, None])[..., 0]
        exact = next(self.model.parameters()).dtype in (torch.float32, torch.float64)
        tolerance = 1e-3 if exact else 0.1
        name = type(self.model).__name__
        if not torch.allclose(found, again, atol=tolerance):
            raise UserError(
                f"model: {name} is random: log-probabilities of the same tokens differ by "
                f"{_gap(found, again):.3g} from one pass to the next, so that what is trained is "
                "not what was sampled; +model.options.FIELD=0 sets a field of its configuration"
            )
        if not torch.allclose(found, expected, atol=tolerance):
            raise UserError(
                f"model: {name} says other log-probabilities than p2o would train (they differ by "
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


def run_layers(model: Any, input_ids: Tensor, attention_mask: Tensor) -> Tensor:
    """Hidden states `[N, L, H]` that a model makes logits of."""
    output = model.get_decoder()(
        input_ids=input_ids, attention_mask=attention_mask, use_cache=False
    )
    return output.last_hidden_state


def response_mask(response_lengths: Tensor) -> Tensor:
    """`[N, T]`, true at the tokens of each response."""
    longest = int(response_lengths.max())
    return torch.arange(longest, device=response_lengths.device) < response_lengths[:, None]


def _gap(found: Tensor, expected: Tensor) -> float:
    return (found - expected).abs().max().item()
