"""Whether two models are the same policy: their log-probabilities of a few fixed tokens.

Weights that are merged, put together or written can go wrong without a word: a tied head, a buffer
that is left behind, a type that rounds. What comes out is asked before it is believed.
"""

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from p2o.errors import UserError

ROWS, LENGTH = 2, 48
WIDE = (torch.float32, torch.float64)
NOISE = {"cpu": 1e-3, "elsewhere": 0.05, "rounded": 0.25}
"""Largest mean difference in nats a token that rounding may make: of float32 and wider types on a
CPU and on other devices, whose products are less exact, and of narrower types. An instruction-tuned
model of 135 million parameters was 0.08 away from itself in bfloat16."""


@dataclass(frozen=True)
class Likeness:
    """How a model scores the fixed tokens.

    Attributes:
        log_probs: `[M]`.
        noise: Largest mean difference to another such model that rounding may make.
    """

    log_probs: Tensor
    noise: float

    def check(self, other: "Likeness", what: str) -> None:
        """Compare with another model.

        Args:
            other: Of that model.
            what: For the message, such as "the merged weights".

        Raises:
            UserError: It is another policy.
        """
        noise = max(self.noise, other.noise)
        gap = (self.log_probs - other.log_probs).abs().mean().item()
        if not gap <= noise:
            raise UserError(
                f"{what} are not the policy: log-probabilities of fixed tokens differ by {gap:.3g} "
                f"nats a token, more than the {noise:.3g} that rounding may make; nothing was "
                "written"
            )


def probe_tokens(model: Any) -> list[list[int]]:
    """The fixed tokens: sequences of random ids, so that many rows of the embeddings take part."""
    config = model.config.get_text_config()
    length = min(LENGTH, getattr(config, "max_position_embeddings", None) or LENGTH)
    generator = torch.Generator().manual_seed(0)
    return torch.randint(0, config.vocab_size, (ROWS, length), generator=generator).tolist()


def attention_on_cpu(config: Any) -> str:
    """The attention of a model, or one that does the same where kernels for GPUs do not run."""
    own = getattr(config, "_attn_implementation", None)
    return own if own in ("eager", "sdpa") else "eager"


def noise_of(dtype: torch.dtype, device: torch.device) -> float:
    """What rounding may make of log-probabilities computed in a type, on a device."""
    if dtype not in WIDE:
        return NOISE["rounded"]
    return NOISE["cpu" if device.type == "cpu" else "elsewhere"]


@torch.no_grad()
def likeness(model: Any) -> Likeness:
    """How a whole transformers model, with an adapter or without, scores the fixed tokens."""
    log_probs = model_log_probs(model, probe_tokens(model))
    return Likeness(log_probs, noise_of(model.dtype, model.device))


@torch.no_grad()
def model_log_probs(model: Any, sequences: list[list[int]]) -> Tensor:
    """Log-probabilities at temperature 1 of all tokens but the first of each sequence, `[M]`."""
    training, scored = model.training, []
    model.eval()
    for sequence in sequences:
        ids = torch.tensor([sequence], device=model.device)
        logits = model(input_ids=ids, use_cache=False).logits[0, :-1]
        log_probs = logits.to(torch.promote_types(logits.dtype, torch.float32)).log_softmax(-1)
        scored.append(log_probs.gather(-1, ids[0, 1:, None])[:, 0].float().cpu())
    model.train(training)
    return torch.cat(scored)
