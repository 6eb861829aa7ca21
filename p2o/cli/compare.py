r"""``python -m p2o.cli.compare``: P2O against GRPO at equal total rollouts, several seeds each.

Runs every arm with every seed until it has spent the same number of rollouts, template search
included, and prints a table. Runs that the folder already holds are not made again. Other arms:

  python -m p2o.cli.compare --arm "hard mask: distillation=context_distillation" \
      --arm "no mask: distillation=no_crm" --folder runs/masks model=digits_decisive
"""

import argparse
import csv
import json
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from itertools import product
from pathlib import Path
from statistics import mean, stdev
from typing import Any

from rich.table import Table

from p2o.cli.program import expected_errors
from p2o.errors import UserError
from p2o.report.figures import learning_curves
from p2o.running.console import ended_by_interrupt
from p2o.running.terminal import Terminal

ARMS = {
    "GRPO": ["experiment=grpo"],
    "GRPO K=12": ["experiment=grpo", "data.group_size=12", "data.batch=8", "data.mini_batch=8"],
    "P2O": [],
}
"""Name to settings. Every arm makes 96 rollouts a step."""
COLLAPSED = 3
"""Exit status of a training that a guard stopped."""
LEARNED = 0.9
"""Held-out accuracy from which a policy counts as having learned."""


def run(
    job: tuple[str, int],
    arms: Mapping[str, Sequence[str]],
    rollouts: int,
    folder: Path,
    more: Sequence[str],
) -> dict[str, Any]:
    """Train one arm with one seed; return its summary and ``learned_at``, a number of rollouts.

    A training that a guard stopped counts as it is.

    Raises:
        UserError: The training failed; its output is in ``log.txt``.
    """
    arm, seed = job
    directory = run_directory(folder, arm, seed)
    if not (directory / "summary.json").is_file():
        directory.mkdir(parents=True, exist_ok=True)
        with (directory / "log.txt").open("w") as log:
            done = subprocess.run(
                [
                    *(sys.executable, "-m", "p2o.cli.train", *arms[arm], f"seed={seed}"),
                    "trainer.max_epochs=-1",
                    "+callbacks.budget._target_=p2o_callbacks.RolloutBudget",
                    f"+callbacks.budget.max_rollouts={rollouts}",
                    f"hydra.run.dir={directory}",
                    *more,
                ],
                check=False,
                stdout=log,
                stderr=subprocess.STDOUT,
                # One thread each: several small models at once are faster than one after another.
                env={**os.environ, "OMP_NUM_THREADS": "1"},
            )
        if done.returncode not in (0, COLLAPSED):
            last = (directory / "log.txt").read_text().strip().splitlines()[-1:]
            raise UserError(f"{arm}, seed {seed}: {''.join(last)} ({directory / 'log.txt'})")
    with (directory / "metrics.csv").open() as metrics:
        learned = [
            float(row["ledger/rollouts"])
            for row in csv.DictReader(metrics)
            if row["val/accuracy"] and float(row["val/accuracy"]) >= LEARNED
        ]
    summary = json.loads((directory / "summary.json").read_text())
    return {**summary, "learned_at": min(learned, default=None)}


def run_directory(folder: Path, arm: str, seed: int) -> Path:
    """Where one training goes."""
    name = "_".join(arm.lower().replace(",", "").replace("=", "").split())
    return folder / f"{name}_seed{seed}"


def table(results: dict[str, list[dict[str, Any]]]) -> Table:
    """One row for each arm: mean and standard deviation over seeds, in per cent.

    The last column tells how many seeds reached 90 % and after how many rollouts on average.
    """
    seeds = max(map(len, results.values()))
    shown = Table(title=f"Held-out accuracy without any template, %; {seeds} seeds")
    shown.add_column("arm")
    for column in ("rollouts", "before", "after", "hard: after", "90 % at"):
        shown.add_column(column, justify="right", no_wrap=True)
    for arm, summaries in results.items():
        learned = [s["learned_at"] for s in summaries if s["learned_at"] is not None]
        reached = f"{mean(learned):,.0f} " if learned else ""
        collapsed = sum(s["collapse"] is not None for s in summaries)
        shown.add_row(
            f"{arm} ({collapsed} collapsed)" if collapsed else arm,
            f"{mean(s['training_rollouts'] for s in summaries):,.0f}",
            f"{100 * mean(s['accuracy']['before'] for s in summaries):.1f}",
            _spread([s["accuracy"]["after"] for s in summaries]),
            _spread([s["hard_accuracy"]["after"] or 0.0 for s in summaries]),
            f"{reached}({len(learned)}/{len(summaries)})",
        )
    return shown


def _read_arm(text: str) -> tuple[str, list[str]]:
    name, separator, settings = text.partition(":")
    if not separator:
        raise UserError(f"--arm '{text}': write 'NAME: key=value ...'")
    return name.strip(), settings.split()


def _spread(values: Sequence[float]) -> str:
    deviation = stdev(values) if len(values) > 1 else 0.0
    return f"{100 * mean(values):.1f} ± {100 * deviation:.1f}"


@ended_by_interrupt
def main() -> None:
    """Command line of the comparison."""
    with expected_errors():
        _compare()


def _compare() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument(
        "--arm", action="append", metavar="NAME: key=value ...", help="an arm; repeat for more"
    )
    parser.add_argument("--seeds", type=int, default=3, help="number of seeds (%(default)s)")
    parser.add_argument("--rollouts", type=int, default=10_000, help="to spend (%(default)s)")
    parser.add_argument(
        "--jobs", type=int, default=os.cpu_count() or 1, help="trainings at once (%(default)s)"
    )
    parser.add_argument(
        "--folder", type=Path, default=Path("runs/compare"), help="where runs go (%(default)s)"
    )
    parser.add_argument("--figure", type=Path, help="also draw the learning curves, say curves.svg")
    parser.add_argument("overrides", nargs="*", help="settings for every run, key=value")
    arguments = parser.parse_args()
    arms = dict(map(_read_arm, arguments.arm)) if arguments.arm else ARMS
    console, jobs = Terminal(), list(product(arms, range(arguments.seeds)))
    train = partial(
        run,
        arms=arms,
        rollouts=arguments.rollouts,
        folder=arguments.folder.resolve(),
        more=arguments.overrides,
    )
    results: dict[str, list[dict[str, Any]]] = {arm: [] for arm in arms}
    with ThreadPoolExecutor(arguments.jobs) as executor:
        for (arm, seed), summary in zip(jobs, executor.map(train, jobs), strict=True):
            console.print(f"{arm}, seed {seed}: {summary['accuracy']['after']:.1%}")
            results[arm].append(summary)
    console.print(table(results))
    if arguments.figure is not None:
        seeds = range(arguments.seeds)
        learning_curves(
            {arm: [run_directory(arguments.folder, arm, seed) for seed in seeds] for arm in arms},
            arguments.figure,
        )


if __name__ == "__main__":
    main()
