"""The update of p2o against the least time it could take on this machine.

The floor is the arithmetic of forward and backward pass over the tokens that gradient flows
through, each live group's prompt once and its responses, over the rate of ``torch.matmul`` in
float32 at the model's sizes. Completions are prescribed: nothing is sampled.
"""

import json
import statistics
import sys
from typing import Any

from benchmarks.command import Results, parser
from benchmarks.process import module, p2o
from benchmarks.shape import update_flops
from benchmarks.work import EMBEDDED, SMOLLM2, Work


def measure(work: Work) -> dict[str, Any]:
    """Seconds of the update, its floor, and what both are made of.

    Raises:
        MeasurementError: A process failed.
    """
    found = p2o("rollout=prescribed", work=work)
    steps = found["steps"][1:] or found["steps"]
    size = work.group_size
    lengths = steps[0]["completions"]
    responses = [lengths[start : start + size] for start in range(0, len(lengths), size)]
    groups = list(zip(steps[0]["prompts"][::size], responses, strict=True))
    learned = sum(lengths)
    tokens = learned + sum(prompt for prompt, _ in groups)
    job = {"shape": found["shape"], "tokens": tokens, "learned": learned}
    rate = module("benchmarks.matmul", json.dumps({**job, "threads": found["threads"]}))["rate"]
    alone = [(0, group) for group in responses]
    return {
        "update": statistics.median(step["update"] for step in steps),
        "rate": rate,
        "flops": update_flops(found["shape"], groups),
        "learned_flops": update_flops(found["shape"], alone),
        "tokens": tokens,
        "learned": learned,
        "as_rows": sum(steps[0]["prompts"]) + learned,
        "threads": found["threads"],
        "command": found["command"],
    }


def main() -> int:
    """Command line."""
    arguments = parser("update", __doc__).parse_args()
    results = Results("update", arguments.folder, arguments.quick)
    if arguments.quick:
        cases = {"embedded policy": Work(EMBEDDED, prompts=2, group_size=2, new_tokens=8)}
    else:
        cases = {
            "SmolLM2-135M": Work(SMOLLM2, steps=2),
            "embedded policy": Work(EMBEDDED, prompts=16, new_tokens=24, steps=6),
        }
    results.measure(cases, measure)
    return results.status()


if __name__ == "__main__":
    sys.exit(main())
