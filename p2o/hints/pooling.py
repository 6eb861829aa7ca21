"""What the pools of a run have found, as its ``pool.json``."""

import json
from collections import defaultdict
from collections.abc import Iterable
from pathlib import Path
from statistics import fmean

from p2o.errors import UserError
from p2o.hints.pool_file import INSTRUCTION, PooledHint, PoolFile
from p2o.prompt import hint_id
from p2o.running.files import written_whole
from p2o_callbacks.pool import PromptPool


def gather_hints(pools: Iterable[PromptPool]) -> tuple[PooledHint, ...]:
    """The hints of several pools, each once, with what all of them have shown.

    Hard samples become fewer, so the last pool tells of a hint's last few problems alone.

    Args:
        pools: Of one run, in the order of time.
    """
    found: dict[str, PooledHint] = {}
    scores: defaultdict[str, dict[str, float]] = defaultdict(dict)
    solved: defaultdict[str, set[str]] = defaultdict(set)
    in_use: set[str] = set()
    for pool in pools:
        in_use |= {pool.templates[index].label for index in pool.in_use}
        for template in pool.templates:
            if template.empty:
                continue
            label = template.label
            scores[label] |= template.dev_scores
            solved[label] = solved[label] - template.dev_scores.keys() | template.solved
            parents = [pool.templates[index].label for index in template.parents]
            # A later search may start from it, and then tells of no parents.
            found.setdefault(
                label,
                PooledHint(
                    id=hint_id(label),
                    kind=INSTRUCTION if template.is_text else "hint",
                    text=label,
                    parents=tuple(hint_id(text) for text in parents if text.strip()),
                ),
            )
    return tuple(
        hint.model_copy(
            update={
                "score": fmean(scores[text].values()) if scores[text] else None,
                "tried": len(scores[text]),
                "solved": len(solved[text]),
                "in_use": text in in_use,
            }
        )
        for text, hint in found.items()
    )


def read_epochs(folder: Path) -> list[PromptPool]:
    """The pools that a run has written, in their order; none where there is no folder.

    Raises:
        UserError: One of them cannot be read.
    """
    return [_read_epoch(path) for path in sorted(folder.glob("epoch_*.json"))]


def _read_epoch(path: Path) -> PromptPool:
    try:
        return PromptPool.from_state_dict(json.loads(path.read_text(encoding="utf-8")))
    except (OSError, ValueError, LookupError, TypeError, AttributeError) as error:
        raise UserError(f"{path}: not a pool of p2o-train ({error!r})") from error


def write_pool(path: Path, pool: PoolFile) -> None:
    """Write a pool, whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with written_whole(path, "w", encoding="utf-8") as file:
        file.write(pool.model_dump_json(indent=2) + "\n")
