"""The scorers of reasoning-gym's own tasks (https://github.com/open-thought/reasoning-gym)."""

import json
import math
import site
import sys
from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any

from p2o.constraints import Workers
from p2o.prompt import Prompt
from p2o.reasoning_gym.tasks import Task, import_factory, unpack
from p2o.verifiers.base import HIGHEST, Score, Status, check_positive
from p2o.verifiers.pattern import AnswerPattern, failed
from p2o.verifiers.sandbox.confine import close_off
from p2o.verifiers.worker_pool import Failure, KillablePool

MEMORY = 4 * 2**30
"""Bytes of address space of a worker."""


class ReasoningGymScorer:
    """Scores an answer as its task does; for prompts of `p2o.reasoning_gym.source.ReasoningGym`.

    Some scorers evaluate the answer as Python. They run in worker processes without network, files
    to write or other processes; see ``docs/verifiers.md``.

    Args:
        pattern: Regular expression whose first group is the answer; the last match counts.
        partial: Whether what a task gives for half an answer counts; else the reward is 1 or 0.
        seconds: Deadline of one answer; a worker that misses it is killed.
        workers: Worker processes.

    Raises:
        UserError: The pattern is no regular expression or has no group, a number is not positive,
            or reasoning-gym is not installed.
    """

    highest = HIGHEST

    def __init__(
        self,
        pattern: str = r"(?s)<answer>(.*?)</answer>",
        partial: bool = False,
        seconds: float = 10.0,
        workers: Workers = 1,
    ) -> None:
        check_positive(workers=workers)
        import_factory()
        self.pattern, self.partial, self.seconds = AnswerPattern(pattern, seconds), partial, seconds
        name = "p2o.reasoning_gym.verifier:score_answer"
        self.pool = KillablePool(name, workers, memory=MEMORY, warm_up="close_off_worker")

    def score(self, responses: Sequence[str], prompts: Sequence[Prompt]) -> list[Score]:
        """See `Verifier.score`."""
        found = self.pattern.find(responses)
        answers = ["" if isinstance(one, Failure) else (one or "").strip() for one in found]
        items = [
            (answer, _task(prompt), prompt.meta["entry"])
            for answer, prompt in zip(answers, prompts, strict=True)
            if answer
        ]
        verdicts = iter(self.pool.map(items, self.seconds))
        return [
            failed(one)
            if isinstance(one, Failure)
            else self._to_score(answer, next(verdicts))
            if answer
            else Score(0.0, Status.NO_ANSWER)
            for one, answer in zip(found, answers, strict=True)
        ]

    def check_gold(self, prompts: Sequence[Prompt]) -> list[str | None]:
        """See `GoldChecker.check_gold`: a task's own answer, where it names one, must be right."""
        reasons: list[str | None] = [
            None if "entry" in prompt.meta else "no problem of reasoning-gym" for prompt in prompts
        ]
        named = [
            i for i, prompt in enumerate(prompts) if reasons[i] is None and prompt.gold.strip()
        ]
        items = [(prompts[i].gold, _task(prompts[i]), prompts[i].meta["entry"]) for i in named]
        for index, verdict in zip(named, self.pool.map(items, self.seconds), strict=True):
            if isinstance(verdict, Failure):
                reasons[index] = f"{prompts[index].meta['task']}: {verdict.reason}"
            elif verdict != 1:
                reasons[index] = f"{prompts[index].meta['task']} gives its own answer {verdict}"
        return reasons

    def _to_score(self, answer: str, verdict: float | str | Failure) -> Score:
        if isinstance(verdict, Failure):
            return failed(verdict, answer)
        if isinstance(verdict, str):
            return Score(0.0, Status.PARSE_ERROR, answer, verdict)
        if math.isnan(verdict):
            return Score(0.0, Status.ERROR, answer, "the task's scorer gave nan")
        reward = min(max(verdict, 0.0), 1.0)
        return Score(reward if self.partial else float(reward >= 1), Status.OK, answer)


def _task(prompt: Prompt) -> Task:
    return Task(prompt.meta["task"], prompt.meta["level"], prompt.meta["settings"])


def score_answer(item: tuple[str, Task, Any]) -> float | str:
    """The score that a task gives, or what it raises; for workers that are closed off.

    Args:
        item: The answer, the task, and its entry as `p2o.reasoning_gym.tasks.draw` gives it.
    """
    answer, task, entry = item
    data_set = _data_set(task.name, task.level, json.dumps(task.settings, sort_keys=True))
    try:
        return float(data_set.score_answer(answer, unpack(entry)))
    except Exception as error:  # Scorers throw anything at answers they do not understand.
        return f"{type(error).__name__}: {error}"[:300]


def close_off_worker() -> None:
    """Import what takes long, and close off this process.

    Raises:
        OSError: The kernel cannot.
    """
    import_factory()
    missing = close_off([sys.prefix, *site.getsitepackages()])
    if missing:
        raise OSError(f"answers are not scored where nothing holds them: {'; '.join(missing)}")


@cache
def _data_set(name: str, level: int | None, settings: str) -> Any:
    given: Mapping[str, Any] = json.loads(settings)
    return Task(name, level, given).data_set(seed=0)
