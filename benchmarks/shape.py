"""The sizes of a model that its arithmetic depends on, and how much arithmetic a step is."""

from collections import Counter
from collections.abc import Sequence
from typing import Any


def shape_of(model: Any) -> dict[str, Any]:
    """What `update_flops` asks of a transformers causal language model.

    Returns:
        ``matrices``, a list of inputs, outputs and number of the layers' linear maps; ``head``,
        inputs and outputs of the map to logits; ``layers`` and ``queries``, the width of all
        attention heads of a layer together.
    """
    config, head = model.config.get_text_config(), model.get_output_embeddings()
    linear = [
        (module.in_features, module.out_features)
        for module in model.modules()
        if hasattr(module, "in_features") and module is not head
    ]
    heads = config.num_attention_heads
    width = getattr(config, "head_dim", None) or config.hidden_size // heads
    return {
        "matrices": [[*sizes, number] for sizes, number in Counter(linear).items()],
        "head": [head.in_features, head.out_features],
        "layers": config.num_hidden_layers,
        "queries": heads * width,
        "parameters": sum(parameter.numel() for parameter in model.parameters()),
    }


def update_flops(shape: dict[str, Any], groups: Sequence[tuple[int, Sequence[int]]]) -> float:
    """Operations of the least update there can be: each group's prompt once, and its responses.

    Forward pass, gradient of inputs and gradient of weights cost two operations a weight and token
    each; attention four for each pair of a query and a key that it sees, and twice that backward.
    Logits are needed where a response token is predicted.

    Args:
        shape: See `shape_of`.
        groups: Tokens of the prompt and of each response.
    """
    tokens = sum(prompt + sum(responses) for prompt, responses in groups)
    learned = sum(sum(responses) for _, responses in groups)
    pairs = sum(
        _triangle(prompt) + sum(prompt * length + _triangle(length) for length in responses)
        for prompt, responses in groups
    )
    weights = sum(inputs * outputs * number for inputs, outputs, number in shape["matrices"])
    head = shape["head"][0] * shape["head"][1]
    return (
        6 * weights * tokens + 6 * head * learned + 12 * shape["layers"] * shape["queries"] * pairs
    )


def _triangle(length: int) -> float:
    return length * (length + 1) / 2
