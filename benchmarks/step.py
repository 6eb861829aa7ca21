"""A training step of p2o against one of TRL's GRPOTrainer, on the same work, in turn.

Each measurement is a process of its own, so that its peak memory is its own. p2o and TRL take
turns, and each case is measured once before any is measured again. Of several steps in a process
the first is left out. Every live group has as many right answers as wrong ones. In the few-shot
case TRL goes through the network prompt by prompt, which takes 12 GiB; the eight at once would
take several times that.
"""

import sys
from collections.abc import Mapping
from dataclasses import asdict
from time import monotonic

from benchmarks.command import Results, parser
from benchmarks.process import MeasurementError, module, p2o
from benchmarks.work import EMBEDDED, SMOLLM2, Work

PLAIN = "SmolLM2-135M"
DEAD = f"{PLAIN}, half of the groups dead"
FEW_SHOT = f"{PLAIN}, few-shot prompt of 600 tokens"
TINY = "embedded policy"
TINY_DEAD = f"{TINY}, half of the groups dead"
CASES = {
    PLAIN: Work(SMOLLM2),
    DEAD: Work(SMOLLM2, dead=0.5),
    FEW_SHOT: Work(SMOLLM2, examples=8, parts=8),
    TINY: Work(EMBEDDED, prompts=16, new_tokens=24, steps=6),
    TINY_DEAD: Work(EMBEDDED, prompts=16, new_tokens=24, dead=0.5, steps=6),
}
QUICK = {TINY: Work(EMBEDDED, prompts=2, group_size=2, new_tokens=8, dead=0.5)}


def measure(results: Results, cases: Mapping[str, Work], repetitions: int, seconds: float) -> None:
    """Measure each case so often, as far as there is time; each of them once in any case.

    Args:
        results: Where to keep what comes of it.
        cases: Work by name.
        repetitions: Of each case.
        seconds: Within which all is to be done; only the first repetitions may take longer.
    """
    start = monotonic()
    takes: dict[str, float] = {}
    for repetition in range(repetitions):
        for name, work in cases.items():
            begin = monotonic()
            if repetition and begin - start + takes[name] > seconds:
                print(f"{name}: no time for repetition {repetition + 1}", flush=True)
                continue
            for side in ("p2o", "TRL") if repetition % 2 else ("TRL", "p2o"):
                _measure_side(results, name, work, side)
            takes[name] = monotonic() - begin


def _measure_side(results: Results, name: str, work: Work, side: str) -> None:
    try:
        measured = module("benchmarks.trl_side", work.text()) if side == "TRL" else p2o(work=work)
        print(f"{name}, {side}: {measured['steps'][-1]['seconds']:.1f} s", flush=True)
        results.add(case=name, side=side, work=asdict(work), **measured)
    except MeasurementError as error:
        results.failed(f"{name}, {side}", error)


def main() -> int:
    """Command line."""
    command = parser("step", __doc__)
    command.add_argument("--repetitions", type=int, default=3, help="of each case (%(default)s)")
    command.add_argument("--minutes", type=float, default=75, help="to repeat within (%(default)s)")
    command.add_argument(
        "--case", action="append", choices=list(CASES), help="one case alone; repeat for more"
    )
    arguments = command.parse_args()
    results = Results("step", arguments.folder, arguments.quick)
    if arguments.quick:
        measure(results, QUICK, 1, 0)
    else:
        cases = {name: CASES[name] for name in arguments.case or CASES}
        measure(results, cases, arguments.repetitions, 60 * arguments.minutes)
    return results.status()


if __name__ == "__main__":
    sys.exit(main())
