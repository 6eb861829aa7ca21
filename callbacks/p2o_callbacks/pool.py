"""The prompt pool: what evolution publishes and rollouts use. Plain data."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from p2o_callbacks.hint import Hint, HintOrText, more_than_text


@dataclass(frozen=True)
class Template(Hint):
    """One evolved prompt template, which is a hint and how it fared.

    Attributes:
        parents: Indices into the pool of the templates it was derived from.
        score: Mean score on the dev samples; None for a template that was not tried.
        dev_scores: Score on each dev sample, by sample id.
        solved: Ids of the dev samples that it solves.
    """

    parents: tuple[int, ...] = ()
    score: float | None = 0.0
    dev_scores: Mapping[str, float] = field(default_factory=dict)
    solved: frozenset[str] = frozenset()


@dataclass(frozen=True)
class PromptPool:
    """Templates, and who gets which.

    Attributes:
        templates: All templates found, in order of discovery.
        cover: Indices of those chosen for use; the empty one can be among them.
        assignment: Hard sample id to one template index for each of its rollouts; None leaves that
            rollout bare.
    """

    templates: tuple[Template, ...] = ()
    cover: tuple[int, ...] = ()
    assignment: Mapping[str, tuple[int | None, ...]] = field(default_factory=dict)

    @property
    def in_use(self) -> tuple[int, ...]:
        """The cover without the empty template, which is what a bare rollout has."""
        return tuple(index for index in self.cover if not self.templates[index].empty)

    @property
    def best(self) -> HintOrText:
        """The hint in use with the best score that any problem can have; an empty text without one.

        One that shows columns of a problem's own is none that another problem can have.
        """
        common = [self.templates[i] for i in self.in_use if not self.templates[i].columns]
        return max(common, key=lambda hint: hint.score or 0.0).simplest if common else ""

    def text_for(self, sample_id: str, rollout: int) -> str:
        """The template text for one rollout of a sample; empty when it is rolled out bare."""
        assigned = self.assignment.get(sample_id)
        index = None if assigned is None else assigned[rollout]
        return "" if index is None else self.templates[index].text

    def hint_for(self, sample_id: str, rollout: int) -> HintOrText:
        """The hint for one rollout of a sample; an empty text when it is rolled out bare."""
        assigned = self.assignment.get(sample_id)
        index = None if assigned is None else assigned[rollout]
        return "" if index is None else self.templates[index].simplest

    def state_dict(self) -> dict[str, Any]:
        """Primitives only, for a checkpoint or a JSON file."""
        return {
            "templates": [
                {
                    **template.content(),
                    "parents": list(template.parents),
                    "score": None if template.score is None else float(template.score),
                    "dev_scores": {key: float(v) for key, v in template.dev_scores.items()},
                    "solved": sorted(template.solved),
                }
                for template in self.templates
            ],
            "cover": list(self.cover),
            "assignment": {key: list(indices) for key, indices in self.assignment.items()},
        }

    @classmethod
    def from_state_dict(cls, state: Mapping[str, Any]) -> "PromptPool":
        """Rebuild what `state_dict` wrote."""
        return cls(
            templates=tuple(
                Template(
                    t["text"],
                    tuple(t["parents"]),
                    t["score"],
                    dict(t["dev_scores"]),
                    frozenset(t["solved"]),
                    **more_than_text(t),
                )
                for t in state["templates"]
            ),
            cover=tuple(state["cover"]),
            assignment={key: tuple(indices) for key, indices in state["assignment"].items()},
        )


def joined(pools: Sequence[PromptPool]) -> PromptPool:
    """One pool of several; later ones come first where two have templates for a sample."""
    templates: list[Template] = []
    cover: list[int] = []
    assignment: dict[str, tuple[int | None, ...]] = {}
    for pool in pools:
        start = len(templates)
        templates += [
            replace(each, parents=tuple(start + parent for parent in each.parents))
            for each in pool.templates
        ]
        cover += [start + index for index in pool.cover]
        for sample_id, drawn in pool.assignment.items():
            bare = all(index is None or pool.templates[index].empty for index in drawn)
            if bare and sample_id in assignment:
                continue
            assignment[sample_id] = tuple(None if i is None else start + i for i in drawn)
    return PromptPool(tuple(templates), tuple(cover), assignment)
