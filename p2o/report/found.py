"""Which template worked on which kind of problem, from the pools that a run's searches left."""

import json
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from p2o.prompt import Prompt
from p2o.records.labels import in_words, label_of

FAMILY = "family"
"""Key of `Prompt.meta` that names a problem's kind, where a source has kinds."""


@dataclass(frozen=True)
class Found:
    """The template that worked best on one kind of problem.

    Attributes:
        kind: A family of problems or a source; ``all`` where there are none.
        template: What it says.
        solved: Hard samples of that kind that it solved when it was tried.
        tried: On so many.
    """

    kind: str
    template: str
    solved: int
    tried: int


def found_templates(folder: Path, prompts: Sequence[Prompt]) -> list[dict[str, Any]]:
    """For each kind of problem the template that solved most, over all searches of a run.

    Of equally good ones the shortest counts. A kind that no template helped is left out.

    Args:
        folder: Of the run.
        prompts: Its training prompts.
    """
    kinds = {prompt.id: _kind(prompt) for prompt in prompts}
    results: dict[str, dict[str, tuple[int, int]]] = defaultdict(dict)
    before: Any = None
    for path in sorted((folder / "evolution").glob("epoch_*.json")):
        templates = json.loads(path.read_text(encoding="utf-8"))["templates"]
        if templates == before:
            # What a search has found, dealt out anew.
            continue
        before = templates
        for template in templates:
            text = in_words(label_of(template))
            for kind, result in _results(template, kinds).items():
                solved, tried = results[kind].get(text, (0, 0))
                results[kind][text] = solved + result[0], tried + result[1]
    best = []
    for kind in sorted(results):
        # By what was solved, and not by the share of it: one lucky sample proves little.
        text, (solved, tried) = max(
            results[kind].items(), key=lambda item: (item[1][0], -item[1][1], -len(item[0]))
        )
        if solved:
            best.append(asdict(Found(kind, text, solved, tried)))
    return best


def _kind(prompt: Prompt) -> str:
    return str(prompt.meta.get(FAMILY) or prompt.source or "all")


def _results(template: Mapping[str, Any], kinds: Mapping[str, str]) -> dict[str, tuple[int, int]]:
    """Samples of each kind that a template solved, and on which it was tried."""
    if not label_of(template):
        return {}
    solved, found = set(template["solved"]), {}
    for sample in template["dev_scores"]:
        kind = kinds.get(sample)
        if kind is not None:
            before = found.get(kind, (0, 0))
            found[kind] = before[0] + (sample in solved), before[1] + 1
    return found
