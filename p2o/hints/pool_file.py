"""``pool.json``: the hints of a run, to be taken elsewhere. docs/pools.md has the schema."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from p2o.errors import UserError

FORMAT: Literal["p2o-pool"] = "p2o-pool"
VERSION = 1
NAME = "pool.json"
FOLDER = "evolution"
"""Where in a run's folder pools are."""
INSTRUCTION: Literal["instruction"] = "instruction"
"""A hint that is nothing but a text."""
MOST_SEEDS = 16
"""Hints that a search starts from."""


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Origin(_Strict):
    """What scores were measured with.

    Attributes:
        name: As the run's configuration calls it.
        sha256: Of its content.
    """

    name: str
    sha256: str


class PooledHint(_Strict):
    """One hint.

    Attributes:
        id: The first 12 hexadecimal digits of the text's SHA-256.
        kind: ``instruction`` for a text in front of a problem, ``hint`` for what is more.
        text: The text, or what is more as JSON; see `p2o_callbacks.Hint.label`.
        parents: Ids of the hints that it was derived from; none for one made of the bare prompt.
        score: Mean over the problems on which searches have tried it, of its last score on each;
            None if there is none.
        tried: How many these are.
        solved: How many of them it solved the last time.
        in_use: Whether some pool of the run has used it.
    """

    id: str
    kind: Literal["instruction", "hint"] = INSTRUCTION
    text: str = Field(min_length=1)
    parents: tuple[str, ...] = ()
    score: float | None = None
    tried: int = Field(default=0, ge=0)
    solved: int = Field(default=0, ge=0)
    in_use: bool = False


class PoolFile(_Strict):
    """All hints of a run.

    Attributes:
        format: ``p2o-pool``.
        version: Of the schema.
        model: The starting policy; the hash is that of its weights.
        data: The training prompts; the hash is that of their ids.
        hints: In the order in which they were found.
    """

    format: Literal["p2o-pool"] = FORMAT
    version: Literal[1] = 1
    model: Origin
    data: Origin
    hints: tuple[PooledHint, ...] = ()

    @property
    def best(self) -> PooledHint:
        """The first of `ranked` that is a text.

        Raises:
            UserError: There is none.
        """
        texts = [hint for hint in self.ranked if hint.kind == INSTRUCTION]
        if not texts:
            raise UserError("the pool has no hint that is a text alone")
        return texts[0]

    @property
    def ranked(self) -> list[PooledHint]:
        """Those in use first, then by the problems solved, then by score.

        Not by score alone: that of a hint which was tried on one problem proves little.
        """
        return sorted(self.hints, key=lambda each: (not each.in_use, -each.solved, -_score(each)))


def _score(hint: PooledHint) -> float:
    return -1.0 if hint.score is None else hint.score


def read_pool(path: Path) -> PoolFile:
    """Read a ``pool.json``, or the one of a run's folder.

    Raises:
        UserError: It is not there, no pool, or of a version that is not known.
    """
    if path.is_dir():
        path = path / FOLDER / NAME
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise UserError(
            f"{path}: no pool can be read there ({error}); p2o-train writes "
            f"{FOLDER}/{NAME} into its folder when a run has ended"
        ) from error
    if not isinstance(content, dict) or content.get("format") != FORMAT:
        raise UserError(f"{path}: not a pool of p2o; its 'format' should be '{FORMAT}'")
    if content.get("version") != VERSION:
        raise UserError(
            f"{path}: version {content.get('version')} of the schema; this p2o reads {VERSION}"
        )
    try:
        return PoolFile.model_validate_json(json.dumps(content))
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(map(str, first["loc"]))
        raise UserError(f"{path}: {place}: {first['msg']}") from error


def seed_texts(path: str) -> Sequence[str]:
    """Texts that a search can start from: those in use, else the best, at most 16.

    Raises:
        UserError: See `read_pool`; or there is none.
    """
    try:
        ranked = [h for h in read_pool(Path(path)).ranked if h.kind == INSTRUCTION]
    except UserError as error:
        raise UserError(f"seed_pool={path}: {error}") from error
    if not ranked:
        raise UserError(
            f"seed_pool={path}: the pool has no hint that is a text alone; leave it out"
        )
    chosen = [hint for hint in ranked if hint.in_use] or ranked
    return [hint.text for hint in chosen[:MOST_SEEDS]]
