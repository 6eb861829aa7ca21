"""The numbers of a model's architecture that memory and time follow from."""

from dataclasses import dataclass
from typing import Any

import torch
from transformers import AutoConfig, AutoModelForCausalLM, PreTrainedConfig

from p2o.errors import UserError
from p2o.policy.models import pretrained_source, reachable, reason


@dataclass(frozen=True)
class ModelShape:
    """A decoder with gated feed-forward layers and RMS norms, as Llama and Qwen are.

    Attributes:
        layers: Decoder layers.
        hidden: Width of the residual stream, h in formulas.
        intermediate: Width of the feed-forward layers, f.
        heads: Query heads of a layer.
        key_value_heads: Heads that are cached.
        head_dim: Width of a head.
        vocabulary: Rows of the output head, V.
        tied: Whether the output head is the embedding.
        parameters: All, each counted once.
        matrices: Numbers in the layers' matrices, which a token is multiplied with.
        normed_heads: Whether queries and keys are normed by themselves, as in Qwen3.
    """

    layers: int
    hidden: int
    intermediate: int
    heads: int
    key_value_heads: int
    head_dim: int
    vocabulary: int
    tied: bool
    parameters: int
    matrices: int
    normed_heads: bool = False

    @property
    def queries(self) -> int:
        """Width of all queries of a token in a layer, q."""
        return self.heads * self.head_dim

    @property
    def keys(self) -> int:
        """Width of all keys of a token in a layer, k; values are as wide."""
        return self.key_value_heads * self.head_dim

    @property
    def head(self) -> int:
        """Numbers in the output head."""
        return self.vocabulary * self.hidden

    @property
    def layer(self) -> float:
        """Parameters of one layer."""
        return (self.parameters - self.head * (1 if self.tied else 2)) / self.layers

    def cache_bytes(self, number: float) -> float:
        """Bytes of keys and values of one token, all layers: ``2 · layers · k · bytes``.

        Args:
            number: Bytes of one number.
        """
        return 2 * self.layers * self.keys * number

    def lora_parameters(self, rank: int) -> int:
        """Parameters of LoRA on all linear layers but the head: ``r · (in + out)`` of each."""
        h, f, q, k = self.hidden, self.intermediate, self.queries, self.keys
        widths = (h + q) + 2 * (h + k) + (q + h) + 2 * (h + f) + (f + h)
        return rank * self.layers * widths


def read_architecture(path: str, trusted: bool = False) -> PreTrainedConfig:
    """The architecture of a model, without its weights.

    Args:
        path: As in `p2o.policy.models.load_policy`.
        trusted: Whether code that comes with the model may run.

    Raises:
        UserError: There is no such model, or it cannot be reached.
    """
    try:
        source = pretrained_source(path)
        with reachable(source):
            return AutoConfig.from_pretrained(**source, trust_remote_code=trusted)
    except (OSError, ValueError) as error:
        raise UserError(
            f"path={path}: no config.json to be had ({reason(error)}); give a folder that holds one"
        ) from error


def meta_model(config: Any, dtype: torch.dtype = torch.float32, trusted: bool = False) -> Any:
    """The model with parameters that have shapes and no memory.

    Raises:
        UserError: It is no causal language model.
    """
    # The record of how stored weights were packed; p2o trains unpacked ones.
    if hasattr(config, "quantization_config"):
        del config.quantization_config
    try:
        with torch.device("meta"):
            return AutoModelForCausalLM.from_config(config, dtype=dtype, trust_remote_code=trusted)
    except ValueError as error:
        raise UserError(f"path: {reason(error)}") from error


def shape_of(model: Any) -> ModelShape:
    """The shape of a transformers causal language model, be it on the meta device."""
    config = model.config.get_text_config()
    embedding = model.get_input_embeddings().weight
    head = model.get_output_embeddings().weight
    inner = [p for p in model.parameters() if p is not embedding and p is not head]
    heads, hidden = config.num_attention_heads, config.hidden_size
    return ModelShape(
        layers=config.num_hidden_layers,
        hidden=hidden,
        intermediate=getattr(config, "intermediate_size", None) or 4 * hidden,
        heads=heads,
        key_value_heads=getattr(config, "num_key_value_heads", None) or heads,
        head_dim=getattr(config, "head_dim", None) or hidden // heads,
        vocabulary=head.shape[0],
        tied=head is embedding,
        parameters=sum(p.numel() for p in model.parameters()),
        matrices=sum(p.numel() for p in inner if p.ndim > 1),
        normed_heads=any(".q_norm." in name for name, _ in model.named_parameters()),
    )
