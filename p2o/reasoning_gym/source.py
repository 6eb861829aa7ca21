"""Problems that reasoning-gym makes: a hundred families of tasks, as hard as one likes."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from p2o.constraints import Many
from p2o.data.sources import Split
from p2o.errors import UserError
from p2o.prompt import Prompt
from p2o.reasoning_gym.tasks import Task, draw, import_factory, unpack
from p2o.running.seeds import derive_seed


@dataclass(frozen=True)
class ReasoningGym:
    """Problems of some tasks at some levels of their curricula, in equal numbers.

    ``prompt.meta`` has ``task``, ``level``, ``settings`` and ``entry``, all a scorer needs as plain
    data.

    Attributes:
        tasks: Names such as ``leg_counting``. None takes all that have what is asked for.
        levels: Of each task's curriculum; 0 is the easiest, above a task's highest the highest is
            taken. None takes tasks as they come.
        train: Training problems.
        held_out: Held-out problems, the same for every seed.
        settings: By task, what its configuration is to be besides.
    """

    tasks: Sequence[str] | None
    levels: Sequence[int] | None = None
    train: Many = 1000
    held_out: Many = 100
    settings: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        sizes = {"train": self.train, "held_out": self.held_out}
        for name, size in sizes.items():
            if size < 1:
                raise UserError(f"{name}={size}: give at least 1")
        if self.levels is not None and (not self.levels or min(self.levels) < 0):
            raise UserError(f"levels={list(self.levels)}: give numbers from 0, or null")

    def load(self, seed: int) -> Split:
        """See `PromptSource.load`."""
        tasks = self._tasks()
        draws = [
            (derive_seed("held out") % 2**31, self.held_out),
            (derive_seed("train", seed) % 2**31, self.train),
        ]
        held_out, train = (
            [_prompt(tasks[index], entry) for index, entry in entries]
            for entries in draw(tasks, draws)
        )
        return Split(train, held_out)

    def _tasks(self) -> list[Task]:
        factory = import_factory()
        # A composite is made of others.
        known = {*factory.DATASETS} - {"composite"}
        suitable = known if self.levels is None else known & {*factory.CURRICULA}
        for key, names in (("tasks", self.tasks or ()), ("settings", self.settings)):
            for name in names:
                if name not in known:
                    near = sorted(other for other in known if other[:3] == name[:3])
                    hint = f"near it are {', '.join(near)}" if near else "see docs/verifiers.md"
                    raise UserError(f"{key}: no task '{name}'; {hint}")
        if without := sorted({*(self.tasks or ())} - suitable):
            raise UserError(
                f"levels: {', '.join(without)} have none; set levels=null, or leave them out"
            )
        names = sorted(suitable) if self.tasks is None else self.tasks
        return [
            Task(name, level, dict(self.settings.get(name, {})))
            for level in self.levels or (None,)
            for name in names
        ]


def _prompt(task: Task, entry: Any) -> Prompt:
    plain = unpack(entry)
    message = {"role": "user", "content": plain["question"]}
    about = asdict(task)
    # A task with many right answers may name none.
    gold = "" if plain["answer"] is None else str(plain["answer"])
    return Prompt.create([message], gold, task=about.pop("name"), **about, entry=entry)
