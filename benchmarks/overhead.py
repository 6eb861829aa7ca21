"""The share of a step of p2o that is neither sampling, verifying nor the network.

The whole method: templates, chosen at random, on every hard problem, so that rollouts are scored
bare and templated. The first epoch, which is bare, is left out.
"""

import sys
from typing import Any

from benchmarks.command import Results, parser
from benchmarks.process import MeasurementError, p2o
from benchmarks.work import SMOLLM2, Work

TEMPLATES = ("evolution=random_template", "trainer.max_epochs=2")
PHRASES = "docs/evidence/tutor_phrases.txt"
"""From the folder where commands are run, so that the page shows a command that can be pasted."""


def embedded(train: int, batch: int) -> dict[str, Any]:
    """The embedded policy, with a verifier that reads its answers."""
    return p2o(
        *("experiment=watched", "verifier=timed_numeric", *TEMPLATES),
        *(f"data.source.train={train}", "data.source.held_out=1"),
        *(f"data.batch={batch}", f"data.mini_batch={batch}"),
    )


def smollm2() -> dict[str, Any]:
    """The work of a step, twice; all problems count as hard, half of the answers as right."""
    work = Work(SMOLLM2, steps=2)
    phrases = f"evolution.evolver.path={PHRASES}"
    return p2o(*TEMPLATES, phrases, f"mining.threshold={work.group_size}", work=work)


def main() -> int:
    """Command line."""
    arguments = parser("overhead", __doc__).parse_args()
    results = Results("overhead", arguments.folder, arguments.quick)
    if arguments.quick:
        cases = {"embedded policy": lambda: embedded(4, 4)}
    else:
        cases = {"embedded policy": lambda: embedded(128, 16), "SmolLM2-135M": smollm2}
    for name, measure in cases.items():
        try:
            found = measure()
            steps = [step for step in found.pop("steps") if step["epoch"]]
            results.add(case=name, steps=steps, **found)
        except MeasurementError as error:
            results.failed(name, error)
    return results.status()


if __name__ == "__main__":
    sys.exit(main())
