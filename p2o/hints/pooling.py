"""What the pools of a run have found, as its ``pool.json``."""

import json
from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path
from statistics import fmean

from p2o.errors import UserError
from p2o.hints.pool_file import INSTRUCTION, PooledHint, PoolFile
from p2o.prompt import hint_id
from p2o.running.files import written_whole
from p2o_callbacks.pool import PromptPool, Template


def last_results(pools: Iterable[PromptPool]) -> dict[str, dict[str, bool]]:
    """Whether a hint solved the problems that it was tried on, each the last time; by its label.

    Hard samples become fewer, so the last pool tells of a hint's last few problems alone.

    Args:
        pools: Of one run, in the order of time.
    """
    results: defaultdict[str, dict[str, bool]] = defaultdict(dict)
    for pool in pools:
        for template in pool.templates:
            if not template.empty:
                results[template.label] |= _results(template)
    return dict(results)


def gather_hints(pools: Iterable[PromptPool]) -> tuple[PooledHint, ...]:
    """The hints of several pools, each once, with what all of them have shown.

    Args:
        pools: Of one run, in the order of time; gone over once.
    """
    found: dict[str, PooledHint] = {}
    scores: defaultdict[str, dict[str, float]] = defaultdict(dict)
    results: defaultdict[str, dict[str, bool]] = defaultdict(dict)
    in_use: set[str] = set()
    for pool in pools:
        in_use |= {pool.templates[index].label for index in pool.in_use}
        for template in pool.templates:
            if template.empty:
                continue
            label = template.label
            scores[label] |= template.dev_scores
            results[label] |= _results(template)
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
                "tried": len(results[text]),
                "solved": sum(results[text].values()),
                "in_use": text in in_use,
            }
        )
        for text, hint in found.items()
    )


def _results(template: Template) -> dict[str, bool]:
    return {sample: sample in template.solved for sample in template.dev_scores}


def read_epochs(folder: Path) -> Iterator[PromptPool]:
    """The pools that a run has written, in their order; none where there is no folder.

    A long run has thousands of large ones, so each is read when it is asked for, and who gets which
    template, which is most of it, is left out.

    Raises:
        UserError: One of them cannot be read.
    """
    for path in sorted(folder.glob("epoch_*.json")):
        yield _read_epoch(path)


def _read_epoch(path: Path) -> PromptPool:
    try:
        pool = PromptPool.from_state_dict(json.loads(path.read_text(encoding="utf-8")))
    except (OSError, ValueError, LookupError, TypeError, AttributeError) as error:
        raise UserError(f"{path}: not a pool of p2o-train ({error!r})") from error
    return replace(pool, assignment={})


def write_pool(path: Path, pool: PoolFile) -> None:
    """Write a pool, whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with written_whole(path, "w", encoding="utf-8") as file:
        file.write(pool.model_dump_json(indent=2) + "\n")
