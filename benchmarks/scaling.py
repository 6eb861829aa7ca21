"""How p2o's update and scoring grow with group size, prompt, response and batch.

One of the four grows at a time, on a model of random weights with layers like SmolLM2's.
Completions are prescribed: nothing is sampled. Each batch is two updates, so that the rollouts of
the second are scored. The exponent is the slope of the logarithms: 1 for a cost that doubles when
the number does.
"""

import statistics
import sys
import tempfile
from dataclasses import asdict, replace
from typing import Any

from benchmarks.command import Results, parser
from benchmarks.process import MeasurementError, module, p2o
from benchmarks.work import Work

BASE = Work("", prompts=4, group_size=4, new_tokens=32, examples=8, steps=3, updates=2)
QUICK = Work("", prompts=2, group_size=2, new_tokens=4, examples=1, steps=1, updates=2)
AXES = {
    "rollouts of a prompt, K": "group_size",
    "tokens of a prompt": "examples",
    "tokens of a response": "new_tokens",
    "prompts of a batch": "prompts",
}
"""What grows, and the field of `Work` that says so."""


def measure(work: Work) -> dict[str, Any]:
    """Median seconds of a batch's update and scoring, the first batch left out.

    Raises:
        MeasurementError: The run failed.
    """
    found = p2o("rollout=prescribed", work=work)
    steps, size = found["steps"], work.updates
    batches = [steps[start : start + size] for start in range(0, len(steps), size)]
    batches = batches[1:] or batches

    def median(part: str) -> float:
        return statistics.median(sum(step[part] for step in batch) for batch in batches)

    return {
        "update": median("update"),
        "scoring": median("scoring"),
        "prompt_tokens": statistics.mean(batches[0][0]["prompts"]),
        "peak_bytes": found["peak_bytes"],
        "parameters": found["shape"]["parameters"],
        "layers": found["shape"]["layers"],
        "threads": found["threads"],
        "command": found["command"].replace(work.model, "FOLDER"),
    }


def main() -> int:
    """Command line."""
    arguments = parser("scaling", __doc__).parse_args()
    results = Results("scaling", arguments.folder, arguments.quick)
    with tempfile.TemporaryDirectory() as folder:
        sizes = ("1", "128") if arguments.quick else ("2", "576")
        try:
            module("benchmarks.random_model", folder, *sizes)
        except MeasurementError as error:
            results.failed("a model of random weights", error)
            return results.status()
        base = replace(QUICK if arguments.quick else BASE, model=folder)
        axes = dict(list(AXES.items())[:1]) if arguments.quick else AXES
        _add(results, "", base)
        for axis, field in axes.items():
            for factor in (2,) if arguments.quick else (2, 4):
                _add(results, axis, replace(base, **{field: factor * getattr(base, field)}))
    return results.status()


def _add(results: Results, axis: str, work: Work) -> None:
    """Measure a point; that of no axis is the smallest of all axes."""
    try:
        found = measure(work)
        print(f"{axis or 'base'}: {found['update']:.2f} s, {found['scoring']:.2f} s", flush=True)
        results.add(axis=axis, work=asdict(replace(work, model="random")), **found)
    except MeasurementError as error:
        results.failed(axis or "base", error)


if __name__ == "__main__":
    sys.exit(main())
