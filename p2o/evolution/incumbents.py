"""Templates that training still shows to work, so that a search is made only where they do not."""

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, replace
from statistics import fmean

from p2o.hints.evidence import Evidence
from p2o_callbacks.hint import names_text
from p2o_callbacks.pool import Template


@dataclass(frozen=True)
class Incumbents:
    """Templates of earlier pools, by what training has shown of them lately.

    Attributes:
        templates: Those with which a rollout of a hard sample was right.
        solved: Ids of the hard samples that need no search.
        failed: Ids of the hard samples on which templates were rolled out to no avail.
    """

    templates: tuple[Template, ...] = ()
    solved: frozenset[str] = frozenset()
    failed: frozenset[str] = frozenset()


def find_incumbents(
    evidence: Evidence,
    hard_set: Collection[str],
    admits: Callable[[str], bool] = lambda text: True,
    relied_on: Collection[str] = (),
) -> Incumbents:
    """Look at what is known of the hard samples.

    Args:
        evidence: From training.
        hard_set: Ids of the hard samples.
        admits: Whether a template may be in use.
        relied_on: Texts of templates whose successes the bare policy can hardly say: a sample that
            they alone solve has a search all the same.
    """
    by_sample = {sample: evidence.solved_by(sample) for sample in sorted(hard_set)}
    hints = sorted(frozenset().union(*by_sample.values()))
    hints = [hint for hint in hints if names_text(hint) and admits(hint)]
    by_sample = {sample: own & frozenset(hints) for sample, own in by_sample.items()}
    solved = frozenset(s for s, own in by_sample.items() if own - frozenset(relied_on))
    tried = frozenset(s for s, own in by_sample.items() if own or evidence.failed_with(s))
    return Incumbents(
        tuple(
            known_template(
                evidence, hint, hard_set, [s for s, own in by_sample.items() if hint in own]
            )
            for hint in hints
        ),
        solved,
        tried - solved,
    )


def known_template(
    evidence: Evidence, text: str, hard_set: Collection[str], solved: Collection[str]
) -> Template:
    """A template with the scores that training gave it."""
    scores = evidence.scores(text, sorted(hard_set))
    score = fmean(scores.values()) if scores else None
    return Template(text, score=score, dev_scores=scores, solved=frozenset(solved))


def with_incumbents(found: Sequence[Template], known: Sequence[Template]) -> list[Template]:
    """What a search has found, and behind it templates from before; none twice."""
    earlier = {template.text: template for template in known}
    templates = []
    for template in found:
        before = earlier.pop(template.text, None)
        templates.append(template if before is None else _both(template, before))
    return templates + list(earlier.values())


def _both(found: Template, before: Template) -> Template:
    scores = {**before.dev_scores, **found.dev_scores}
    return replace(
        found,
        score=fmean(scores.values()) if scores else None,
        dev_scores=scores,
        solved=found.solved | before.solved,
    )
