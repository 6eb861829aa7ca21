"""``python -m benchmarks.matmul JOB OUTPUT``: how fast this machine multiplies matrices.

The matrices are those of a model's linear maps, each as often as the model has it, with so many
tokens: forward pass, gradient of inputs, gradient of weights, in float32.
"""

import json
import statistics
import sys
from pathlib import Path
from time import perf_counter
from typing import Any

import torch

REPETITIONS = 5


def rate(shape: dict[str, Any], tokens: int, learned: int) -> float:
    """Operations a second, the median of a few repetitions.

    Args:
        shape: See `benchmarks.shape.shape_of`.
        tokens: That go through the layers.
        learned: That have logits.
    """
    products = [(tokens, inputs, outputs, n) for inputs, outputs, n in shape["matrices"]]
    products.append((learned, *shape["head"], 1))
    _seconds(products)
    seconds = statistics.median(_seconds(products) for _ in range(REPETITIONS))
    return sum(6 * rows * a * b * n for rows, a, b, n in products) / seconds


def _seconds(products: list[tuple[int, int, int, int]]) -> float:
    """Of all products, each measured once and counted as often as there are such maps."""
    total = 0.0
    for rows, inputs, outputs, number in products:
        values, weights = torch.randn(rows, inputs), torch.randn(outputs, inputs)
        gradients = torch.randn(rows, outputs)
        start = perf_counter()
        torch.matmul(values, weights.T)
        torch.matmul(gradients, weights)
        torch.matmul(gradients.T, values)
        total += number * (perf_counter() - start)
    return total


if __name__ == "__main__":
    job = json.loads(sys.argv[1])
    torch.set_num_threads(job.pop("threads"))
    Path(sys.argv[2]).write_text(json.dumps({"rate": rate(**job)}))
