"""The policy: log-probabilities of responses, computed only where there is one, in chunks.

Shapes: N rows, L tokens in a row (prompt, then response, then padding), T the longest response,
M response tokens of all rows, V vocabulary.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from p2o.errors import UserError


class CausalPolicy(nn.Module):
    """A causal language model that returns log-probabilities of responses.

    The vocabulary-sized logits, not the model, run out of memory first. So the head is applied
    to response positions only, a chunk at a time, and its logits are recomputed in the backward
    pass when there is more than one chunk.

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
        compile_backend: str | None = None,
    ) -> None:
        super().__init__()
        self.model: Any = model
        if compile_backend is not None:
            known = torch.compiler.list_backends(exclude_tags=())
            if compile_backend not in known:
                raise UserError(f"compile_backend={compile_backend}: torch has {', '.join(known)}")
            # Of the function, not of the module: an engine may sample with the same module.
            self._run_layers = torch.compile(
                self._run_layers, dynamic=True, backend=compile_backend
            )
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
        hidden = self._run_layers(input_ids, (places < ends).long())
        # The hidden state at one place predicts the token at the next.
        predicts = (places >= prompt_lengths[:, None] - 1) & (places < ends - 1)
        targets = input_ids.roll(-1, dims=1)[predicts]
        log_probs, entropies = self._score(hidden[predicts], targets)
        mask = response_mask(response_lengths)
        empty = log_probs.new_zeros(mask.shape)
        return empty.masked_scatter(mask, log_probs), empty.masked_scatter(mask, entropies)

    @contextmanager
    def at_temperature(self, temperature: float) -> Iterator[None]:
        """Another temperature for a while."""
        usual, self.temperature = self.temperature, temperature
        try:
            yield
        finally:
            self.temperature = usual

    def _run_layers(self, input_ids: Tensor, attention_mask: Tensor) -> Tensor:
        output = self.model.get_decoder()(
            input_ids=input_ids, attention_mask=attention_mask, use_cache=False
        )
        return output.last_hidden_state

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
        logits = self.model.get_output_embeddings()(hidden)
        logits = logits.to(torch.promote_types(logits.dtype, torch.float32)) / self.temperature
        log_probs = logits.log_softmax(-1)
        with torch.set_grad_enabled(torch.is_grad_enabled() and self.entropy_gradient):
            entropies = -(log_probs.exp() * log_probs).sum(-1)
        return log_probs.gather(-1, targets[:, None])[:, 0], entropies

    @torch.no_grad()
    def check_head(self) -> None:
        """Compare with the model's own logits on a few tokens.

        Raises:
            UserError: The model does something between its last layer and its logits that
                applying the head alone leaves out, such as soft-capping.
        """
        ids = torch.arange(2, 10, device=self.model.device)[None]
        logits = self.model(ids).logits
        logits = logits.to(torch.promote_types(logits.dtype, torch.float32)) / self.temperature
        own = logits.log_softmax(-1)
        expected = own[:, :-1].gather(-1, ids[:, 1:, None])[..., 0]
        lengths = torch.tensor([1], device=ids.device), torch.tensor([7], device=ids.device)
        found, _ = self(ids, *lengths)
        exact = next(self.model.parameters()).dtype in (torch.float32, torch.float64)
        tolerance = 1e-3 if exact else 0.1
        if not torch.allclose(found, expected, atol=tolerance):
            raise UserError(
                f"model: {type(self.model).__name__} transforms its logits after the output head "
                f"(log-probabilities differ by {(found - expected).abs().max():.3g}); p2o applies "
                "the head alone and would train on wrong probabilities"
            )


def response_mask(response_lengths: Tensor) -> Tensor:
    """`[N, T]`, true at the tokens of each response."""
    longest = int(response_lengths.max())
    return torch.arange(longest, device=response_lengths.device) < response_lengths[:, None]


def disable_dropout(model: nn.Module) -> nn.Module:
    """Set every dropout of a model to zero: the policy that is updated must be the one sampled."""
    for part in model.modules():
        if isinstance(part, nn.Dropout):
            part.p = 0.0
        if isinstance(getattr(part, "attention_dropout", None), float):
            part.attention_dropout = 0.0  # type: ignore[assignment]
    return model
