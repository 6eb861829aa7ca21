"""Which documented commands a test runs, with how small a budget, and the runs that they name."""

import re
import shutil
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from p2o.records import read
from tests.commands import Command

SMALL = ("data.source.train=16", "data.source.held_out=4")
"""Few problems of the embedded world."""
UPDATE = ("+trainer.limit_train_batches=1", "save_policy=null")
"""Epochs of one update, and no policy that nobody asks for."""
EPOCHS = 4
"""Of the runs that commands name, so that they have an ``epoch_0003`` as printed."""
FOREIGN = {
    *("model", "model.path", "model/adapter", "data", "data_root", "verifier", "experiment"),
    *("suite", "plan", "reflection", "rollout", "trainer", "hydra/launcher"),
}
"""Settings that may ask for a real model, a hub, a server or other machines.

A test has none of these. Commands with such a setting are only looked at, but for `AT_HAND`.
"""
AT_HAND = {
    *("data=lines", "verifier=near", "verifier=function", "experiment=grpo", "plan=true"),
    "reflection=phrasebook",
}
MODULES = ("p2o.world.strict", "p2o.cli.throughput")
"""What ``python -m`` runs here. Others train for long, or have tests of their own."""
PLACES = {
    **dict.fromkeys(("RUN", "runs/default/TIME", "runs/mine", "runs/one", "runs/..."), "searched"),
    "runs/bench/unfriendly/p2o/seed0": "searched",
    "runs/other": "bare",
    **dict.fromkeys(("runs/evaluations/mine", "FOLDER"), "evaluated"),
}
"""What commands call a run or an evaluation, and which one of `Finished` is put there."""
ALIKE = {
    **{place: name for place, name in PLACES.items() if name == "searched"},
    **dict.fromkeys(("path/to/eval/math.json", "path/to/eval/olympiad_bench.json"), "math.json"),
}
"""Names of which one stands for all."""


@dataclass(frozen=True)
class Finished:
    """Short runs, of which commands get a copy.

    Attributes:
        folder: Where they are: ``searched``, ``bare`` (without a search), ``evaluated``.
    """

    folder: Path

    @cached_property
    def ids(self) -> dict[str, str]:
        """How ids begin, by those that are printed: of a hard problem, and of a hint in use."""
        records = read(self.folder / "searched")
        problems, hints = records.rows("hard", ["problem"]), records.rows("pool", ["hint"])
        return {"4f2a": max(problems)[0][:8], "9c01": max(hints)[0][:8]}

    def put(self, words: list[str], folder: Path) -> None:
        """Copy what a command's words name into the folder where it is started."""
        # A run is to be made there.
        named = " ".join(word for word in words if not word.startswith("hydra.run.dir="))
        for place, name in PLACES.items():
            if place in named:
                shutil.rmtree(folder / place, ignore_errors=True)
                shutil.copytree(self.folder / name, folder / place)


def runs_here(command: Command) -> bool:
    """Whether a command works on the embedded world, with nothing that is not at hand."""
    # Each option is run by train/test_every_option.py, and each example by test_examples.py.
    of_option = command.text.startswith(("p2o-train", "p2o-bench"))
    if command.place.startswith("examples/") or command.place.startswith("conf/") and of_option:
        return False
    program, *arguments = command.words()
    match program:
        case "p2o-show" | "p2o-report" | "p2o-pool" | "p2o-bench":
            return True
        case "p2o-export":
            return "--push" not in arguments
        case "p2o-train" | "p2o-data" | "p2o-doctor":
            return is_at_hand(arguments)
        case "p2o-eval":
            return "--help" in arguments or is_evaluated_here(command, arguments)
        case "python":
            return arguments[0] == "-m" and arguments[1] in MODULES
    return False


def is_at_hand(arguments: list[str]) -> bool:
    """Whether settings of ``p2o-train`` ask for nothing else."""
    asked = {word.partition("=")[0] for word in arguments if "=" in word and word not in AT_HAND}
    if "plan=true" in arguments:
        # On paper any device will do.
        asked.discard("trainer")
    return not asked & FOREIGN


def is_evaluated_here(command: Command, arguments: list[str]) -> bool:
    """Whether an evaluation is about a run's own problems, or the embedded world's."""
    keys = {word.partition("=")[0] for word in arguments}
    if {"suite=digits", "suite=held_out"} & set(arguments):
        return True
    return bool("..." in command.text or {"run", "rescore"} & keys) and "suite" not in keys


def shortened(program: str, arguments: list[str]) -> list[str]:
    """Arguments with a small budget."""
    if "--help" in arguments:
        return arguments
    match program:
        case "p2o-train":
            goes_on = any(word.startswith("ckpt_path=") for word in arguments)
            epochs = f"trainer.max_epochs={EPOCHS + 1 if goes_on else 1}"
            sized = not any(word.startswith("data=") for word in arguments)
            return [*arguments, *UPDATE, *(SMALL if sized else ()), epochs]
        case "p2o-eval":
            given = any(word.startswith(("run=", "rescore=", "suite=")) for word in arguments)
            # An ellipsis stands for what is evaluated.
            return [*arguments, *(() if given else ("run=runs/mine",)), "limit=2"]
        case "p2o-doctor":
            return [*arguments, "--problems", "4", "--samples", "4", "--hints", "2"]
        case "p2o-bench":
            others = [word for word in arguments if word != "run=false"]
            return [*others, "run=false", "folder=fresh"]
    return arguments


def each_once(commands: list[Command]) -> list[Command]:
    """Commands of which no two do the same here; the longest ones."""
    return list(
        {effect(each): each for each in sorted(commands, key=lambda c: len(c.code))}.values()
    )


def effect(command: Command) -> str:
    """What a command does here: with a small budget, and wherever its page is written."""
    program, *arguments = command.words()
    words = [program, *shortened(program, arguments)]
    text = " ".join(word for word in words if not word.startswith(("page=", "figure=")))
    for name in sorted(ALIKE, key=len, reverse=True):
        text = re.sub(rf"\b{re.escape(name)}(?![\w.])", ALIKE[name], text)
    return text
