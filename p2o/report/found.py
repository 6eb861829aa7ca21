"""Which template worked on which kind of problem, from the pools that a run's searches left."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from p2o.hints.pooling import last_results, read_epochs
from p2o.prompt import Prompt
from p2o.records.labels import in_words

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

    A problem counts once, as the template fared with it the last time. Of equally good templates
    the shortest counts. A kind that no template helped is left out.

    Args:
        folder: Of the run.
        prompts: Its training prompts.
    """
    kinds = {prompt.id: _kind(prompt) for prompt in prompts}
    fared: defaultdict[str, dict[str, bool]] = defaultdict(dict)
    for label, own in last_results(read_epochs(folder / "evolution")).items():
        fared[in_words(label)] |= own
    best = []
    for kind in sorted(set(kinds.values())):
        results = {
            text: [right for sample, right in tried.items() if kinds.get(sample) == kind]
            for text, tried in fared.items()
        }
        # By what was solved, and not by the share of it: one lucky sample proves little.
        text = max(
            results, key=lambda t: (sum(results[t]), -len(results[t]), -len(t)), default=None
        )
        if text is not None and any(results[text]):
            best.append(asdict(Found(kind, text, sum(results[text]), len(results[text]))))
    return best


def _kind(prompt: Prompt) -> str:
    return str(prompt.meta.get(FAMILY) or prompt.source or "all")
