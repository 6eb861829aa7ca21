"""Which templates stand in front of a question at inference time."""

import json
import random
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Protocol

from p2o.errors import UserError
from p2o.prompt import Prompt
from p2o.running.seeds import derive_seed
from p2o.verifiers.base import Status
from p2o_callbacks.hint import HintOrText
from p2o_callbacks.pool import PromptPool


class TemplateUse(Protocol):
    """Says which templates each sample of a question is asked with."""

    def texts(self, prompt: Prompt, sample: int) -> Sequence[HintOrText]:
        """Texts or hints; with several, the sample is the answer that most of them agree on."""
        ...


class OneTemplate:
    """The same text or hint, or none, for all.

    Args:
        text: A text or a hint; empty for none.
    """

    def __init__(self, text: HintOrText = "") -> None:
        self.text = text

    def texts(self, prompt: Prompt, sample: int) -> Sequence[HintOrText]:
        """See `TemplateUse.texts`."""
        return [self.text]


class Majority:
    """A vote of all templates in use.

    Args:
        pool: A run's pool.
    """

    def __init__(self, pool: PromptPool) -> None:
        self.used = [pool.templates[index].simplest for index in pool.in_use]

    def texts(self, prompt: Prompt, sample: int) -> Sequence[HintOrText]:
        """See `TemplateUse.texts`."""
        return self.used


class Assigned:
    """As in training: a hard sample's own templates; else one of the cover, drawn by score.

    Where the empty template is in the cover, some are asked bare, as in training.

    Args:
        pool: A run's pool.
        seed: Of the draws.
    """

    def __init__(self, pool: PromptPool, seed: int) -> None:
        self.pool, self.seed = pool, seed
        self.scores = [max(pool.templates[i].score or 0.0, 1e-6) for i in pool.cover]

    def texts(self, prompt: Prompt, sample: int) -> Sequence[HintOrText]:
        """See `TemplateUse.texts`."""
        assigned = self.pool.assignment.get(prompt.id)
        if assigned:
            return [self.pool.hint_for(prompt.id, sample % len(assigned))]
        draw = random.Random(derive_seed(self.seed, f"template/{prompt.id}/{sample}"))
        [index] = draw.choices(self.pool.cover, self.scores)
        return [self.pool.templates[index].simplest]


def read_templates(template: str | None, mode: str, seed: int) -> TemplateUse:
    """What a configuration says of templates.

    Args:
        template: A text, the path of a pool, or None.
        mode: ``best``, ``majority`` or ``assigned``; counts for pools.
        seed: See `Assigned`.

    Raises:
        UserError: The file is no pool, or has no template in use that any question can have.
    """
    if mode not in ("best", "majority", "assigned"):
        raise UserError(f"template_mode={mode}: give best, majority or assigned")
    if template is None or not template.endswith(".json"):
        return OneTemplate(template or "")
    pool = read_pool(template)
    if not pool.in_use:
        raise UserError(f"template={template}: no template is in use; take a later epoch's pool")
    pool = _without_columns(pool)
    if not pool.in_use:
        raise UserError(
            f"template={template}: every template in use shows columns of a question's own, which "
            "may tell its answer; take another pool"
        )
    if mode == "best":
        return OneTemplate(pool.best)
    return Majority(pool) if mode == "majority" else Assigned(pool, seed)


def read_pool(path: str | Path) -> PromptPool:
    """The pool in a file of p2o-train.

    Raises:
        UserError: The file is no pool.
    """
    try:
        pool = PromptPool.from_state_dict(json.loads(Path(path).read_text()))
        _check(pool)
    except (OSError, ValueError, LookupError, TypeError, AttributeError, RecursionError) as error:
        raise UserError(f"template={path}: not a pool of p2o-train ({error!r})") from error
    return pool


def _without_columns(pool: PromptPool) -> PromptPool:
    """A pool that uses no template with columns of a question's own, which may tell its answer."""

    def is_common(index: int | None) -> bool:
        return index is None or not pool.templates[index].columns

    return replace(
        pool,
        cover=tuple(filter(is_common, pool.cover)),
        assignment={key: tuple(filter(is_common, own)) for key, own in pool.assignment.items()},
    )


def _check(pool: PromptPool) -> None:
    """Look at whatever a pool is used for, which raises where it is none."""
    for template in pool.templates:
        template.text.strip()
        float(template.score or 0.0)
    used = {index for indices in pool.assignment.values() for index in indices} - {None}
    for index in {*pool.cover, *used}:
        pool.templates[index]


def vote(answers: Sequence[str | None]) -> int:
    """Index of the first answer that most agree on, white space and letter case apart.

    No answer is no vote; without any, the first index.

    Example::

        >>> vote(["7", None, "12", " 12 "])
        2
    """
    votes = Counter(_fold(answer) for answer in answers if answer is not None)
    if not votes:
        return 0
    most = votes.most_common(1)[0][0]
    return next(i for i, a in enumerate(answers) if a is not None and _fold(a) == most)


def check_votes(benchmark: str, rows: Sequence[Mapping[str, Any]]) -> None:
    """Refuse a vote in which nobody has one: responses are right, and none has a named answer.

    Args:
        benchmark: Its name.
        rows: Completions of several templates.

    Raises:
        UserError: Says what to choose instead.
    """
    named = any(row["answer"] is not None for row in rows if row["status"] == Status.OK)
    if any(row["solved"] for row in rows) and not named:
        raise UserError(
            f"template_mode=majority: the verifier names no answer in responses to {benchmark}, so "
            "templates have nothing to vote on; give best or assigned"
        )


def _fold(answer: str) -> str:
    return "".join(answer.split()).casefold()
