"""Makes entries of reasoning-gym's tasks, as a program of its own.

Some tasks go through sets, whose order differs from one Python process to the next. With the hash
seed fixed a seed gives the same entries in every run and on every rank; that takes a new process.
"""

import importlib
import json
import os
import random
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from itertools import islice
from typing import Any

from p2o.errors import UserError
from p2o.running.seeds import derive_seed
from p2o.verifiers.sandbox.values import decode, encode, plain_base

CHUNK = 200
"""Entries that are made at a time. Some tasks make others for another number of them."""
MOST_CHUNKS = 200


@dataclass(frozen=True)
class Task:
    """A family of problems, set to some difficulty.

    Attributes:
        name: What reasoning-gym calls it.
        level: Of its curriculum; None takes it as it comes.
        settings: What its configuration is to be besides.
    """

    name: str
    level: int | None = None
    settings: Mapping[str, Any] = field(default_factory=dict)

    def data_set(self, seed: int) -> Any:
        """The library's data set.

        Raises:
            UserError: The library is not installed, or has no such task, level or setting.
        """
        factory = import_factory()
        more = {**self.settings, "seed": seed, "size": CHUNK}
        try:
            if self.level is not None:
                curriculum = factory.create_curriculum(self.name)
                curriculum.set_global_level(self.level)
                more = {**vars(curriculum.generate_configuration(more)), **more}
            return factory.create_dataset(self.name, **more)
        except (TypeError, AssertionError, ValueError) as error:
            raise UserError(f"{self.name} at level {self.level}: {error}") from error


def import_factory() -> Any:
    """The library's ``factory``.

    Raises:
        UserError: It is not installed.
    """
    try:
        return importlib.import_module("reasoning_gym.factory")
    except ModuleNotFoundError as error:
        raise UserError("reasoning-gym is not installed; 'pip install reasoning-gym'") from error


def draw(tasks: Sequence[Task], draws: Sequence[tuple[int, int]]) -> list[list[tuple[int, Any]]]:
    """Different entries, no question twice in all draws.

    Args:
        tasks: They take turns.
        draws: A seed and a number of entries each.

    Returns:
        For each draw its entries, encoded, each with the index of its task.

    Raises:
        UserError: A task is wrong or has too few different entries.
    """
    request = {"tasks": [asdict(task) for task in tasks], "draws": list(draws)}
    done = subprocess.run(
        [sys.executable, "-m", __spec__.name],
        input=json.dumps(request),
        env={**os.environ, "PYTHONHASHSEED": "0"},
        stdout=subprocess.PIPE,
        text=True,
        check=False,
    )
    if done.returncode != 0:
        raise UserError(f"making problems ended with status {done.returncode}")
    answer = json.loads(done.stdout.splitlines()[-1])
    if "error" in answer:
        raise UserError(answer["error"])
    return answer["entries"]


def unpack(entry: Any) -> dict[str, Any]:
    """An entry as its task made it."""
    return decode(entry, lambda plain: plain)


def _draw(request: Mapping[str, Any]) -> list[list[tuple[int, Any]]]:
    tasks = [Task(**task) for task in request["tasks"]]
    # Where there are fewer entries than tasks, any task and level is as likely to be left out.
    turns = random.Random("turns").sample(range(len(tasks)), len(tasks))
    seen: set[str] = set()
    entries = []
    for seed, count in request["draws"]:
        entries.append([])
        for index, task in enumerate(tasks):
            share = len(range(turns.index(index), count, len(tasks)))
            made = list(islice(_distinct(task, seed, seen), share))
            if len(made) < share:
                raise UserError(
                    f"{task.name} at level {task.level} has {len(made)} different "
                    f"problems left where {share} are needed; lower train or held_out, or add tasks"
                )
            entries[-1] += [(index, encode(entry, plain_base)) for entry in made]
    return entries


def _distinct(task: Task, seed: int, seen: set[str]) -> Iterator[dict[str, Any]]:
    for chunk in range(MOST_CHUNKS):
        before = len(seen)
        data_set = task.data_set(derive_seed(seed, task.name, str(task.level), chunk) % 2**31)
        for index in range(CHUNK):
            entry = data_set[index]
            if entry["question"] not in seen:
                seen.add(entry["question"])
                yield entry
        if len(seen) == before:
            return


def main() -> None:
    """Read a request from standard input, write the entries or an error to standard output."""
    try:
        answer = {"entries": _draw(json.load(sys.stdin))}
    except UserError as error:
        answer = {"error": str(error)}
    print(json.dumps(answer))


if __name__ == "__main__":
    main()
