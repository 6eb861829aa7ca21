"""Sampling of p2o's own engine against the least time it could take on this machine.

The floor reads the prompts once, and then multiplies the model's linear maps with one token of each
row, as often as the longest response has tokens. Few rows are bound by how fast weights come from
memory, and so is any engine that keeps them in float32.
"""

import json
import sys
from typing import Any

from benchmarks.command import Results, parser
from benchmarks.process import module, p2o
from benchmarks.work import EMBEDDED, SMOLLM2, Work


def measure(work: Work) -> dict[str, Any]:
    """Seconds of a batch's sampling, the first batch left out, and the floor.

    Raises:
        MeasurementError: A process failed.
    """
    found = p2o(work=work)
    step = found["steps"][-1]
    job = {
        "shape": found["shape"],
        "prompts": sum(step["prompts"][:: work.group_size]),
        "rows": len(step["completions"]),
        "threads": found["threads"],
    }
    least = module("benchmarks.passes", json.dumps(job))
    return {
        "generation": step["generation"],
        "prompts": least["prompts"],
        "token": least["token"],
        "longest": max(step["completions"]),
        "floor": least["prompts"] + least["token"] * max(step["completions"]),
        "bytes": 4 * found["shape"]["parameters"],
        "threads": found["threads"],
        "command": found["command"],
    }


def main() -> int:
    """Command line."""
    arguments = parser("sampling", __doc__).parse_args()
    results = Results("sampling", arguments.folder, arguments.quick)
    if arguments.quick:
        works = [Work(EMBEDDED, prompts=2, group_size=2, new_tokens=8)]
    else:
        works = [Work(SMOLLM2, prompts=prompts, steps=2) for prompts in (1, 4, 8)]
    results.measure({f"{work.prompts * work.group_size} rows": work for work in works}, measure)
    return results.status()


if __name__ == "__main__":
    sys.exit(main())
