"""What a gullible verifier hides: ``python -m p2o.world.strict RUN ...``.

Prints the share of held-out responses that the run's own verifier took for right, the share that
have one number which is right, and the share that list several, at each evaluation of a run.
"""

import argparse
from collections import defaultdict
from pathlib import Path

from rich.table import Table

from p2o.prompt import Prompt
from p2o.records.reading import Records
from p2o.records.schema import BEFORE_TRAINING, FOLDER
from p2o.running.terminal import Terminal
from p2o.verifiers import Numeric
from p2o.world.gullible import NUMBER


def shares(run: Path) -> dict[int, tuple[float, float, float]]:
    """Right as the run has it, right by a strict verifier, and lists, by epoch; -1 is before it.

    Args:
        run: Folder of a run with records.
    """
    records = Records(run / FOLDER)
    golds = dict(records.rows("problems", ["problem", "gold"]))
    columns = ["epoch", "problem", "response", "answer", "solved"]
    rows = list(records.rows("rollouts", columns, phase="held_out"))
    asked = [Prompt.create([{"role": "user", "content": row[1]}], golds[row[1]]) for row in rows]
    scores = Numeric().score([row[2] for row in rows], asked)
    found: defaultdict[int, list[tuple[bool, bool, bool]]] = defaultdict(list)
    for (epoch, _, _, answer, solved), score in zip(rows, scores, strict=True):
        listed = len(NUMBER.findall(answer or "")) > 1
        found[epoch].append((bool(solved), bool(score.solved), listed))
    return {
        epoch: tuple(sum(each) / len(own) for each in zip(*own, strict=True))  # type: ignore[misc]
        for epoch, own in sorted(found.items())
    }


def main() -> None:
    """Command line of the script."""
    parser = argparse.ArgumentParser(description="What a gullible verifier hides.")
    parser.add_argument("runs", nargs="+", type=Path, help="folders of runs")
    table = Table()
    for column in ("run", "epoch", "as the run has it", "strict", "lists"):
        table.add_column(column, justify="left" if column == "run" else "right")
    for run in parser.parse_args().runs:
        for epoch, measured in shares(run).items():
            when = "before" if epoch == BEFORE_TRAINING else str(epoch + 1)
            table.add_row(str(run), when, *(f"{share:.1%}" for share in measured))
    Terminal().print(table)


if __name__ == "__main__":
    main()
