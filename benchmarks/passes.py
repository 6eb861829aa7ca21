"""``python -m benchmarks.passes JOB OUTPUT``: the least seconds of a model's forward passes.

Each linear map of the model is multiplied once, with weights of its own, so that they come from
memory as the model's do. In float32; attention, norms and drawing tokens are left out.
"""

import json
import statistics
import sys
from pathlib import Path
from time import perf_counter
from typing import Any

import torch
from torch import Tensor

REPETITIONS = 5


def least(shape: dict[str, Any], prompts: int, rows: int) -> dict[str, float]:
    """Seconds of a pass over all prompts, and of one over a token of each row.

    Args:
        shape: See `benchmarks.shape.shape_of`.
        prompts: Tokens of the distinct prompts.
        rows: Responses.
    """
    sizes = [(a, b) for a, b, number in shape["matrices"] for _ in range(number)]
    weights = [torch.randn(outputs, inputs) for inputs, outputs in sizes]
    head = torch.randn(*reversed(shape["head"]))
    return {
        "prompts": _seconds(weights, prompts),
        "token": _seconds([*weights, head], rows),
    }


def _seconds(weights: list[Tensor], rows: int) -> float:
    """The median of a few repetitions, after one that does not count."""
    values = {size: torch.randn(rows, size) for size in {weight.shape[1] for weight in weights}}
    taken = []
    for _ in range(1 + REPETITIONS):
        start = perf_counter()
        for weight in weights:
            torch.matmul(values[weight.shape[1]], weight.T)
        taken.append(perf_counter() - start)
    return statistics.median(taken[1:])


if __name__ == "__main__":
    job = json.loads(sys.argv[1])
    torch.set_num_threads(job.pop("threads"))
    Path(sys.argv[2]).write_text(json.dumps(least(**job)))
