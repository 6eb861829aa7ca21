"""Settings to change, in order, when rewards stay away; each with the numbers it follows from."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass

from p2o.evaluation.diagnosis import UNREAD, Diagnosis, Outcome, outcome
from p2o.evaluation.diagnosis_file import Advice

MANY = 0.1
"""Share of rollouts from which something is worth a change."""
FAILURES = 0.01
"""The same for a verifier that fails, which says nothing of the policy."""
STATED = 0.2
"""Share of unread responses with the right answer in them, from which the verifier is to blame."""
EASY = 0.9
"""Success rate from which there is hardly anything to learn."""
ALIKE = 0.3
"""Share of different responses below which sampling hardly varies."""


@dataclass(frozen=True)
class Settings:
    """What the run would do; advice names these keys.

    Attributes:
        max_new_tokens: ``sampling.train.max_new_tokens``.
        temperature: ``sampling.train.temperature``.
        group_size: ``data.group_size``.
        pattern: ``verifier.pattern``; None where the verifier has none.
        suffix: ``renderer.suffix``.
        evolves: Whether there is a search for hints.
    """

    max_new_tokens: int
    temperature: float
    group_size: int
    pattern: str | None
    suffix: str
    evolves: bool


def advise(diagnosis: Diagnosis, settings: Settings) -> list[Advice]:
    """What to do, the first thing first: what hides a reward, then what makes more of them."""
    return [
        *_about_the_verifier(diagnosis),
        *_about_length(diagnosis, settings),
        *_about_the_form(diagnosis, settings),
        *_about_variety(diagnosis, settings),
        *_about_hints(diagnosis, settings),
        *_about_the_group(diagnosis, settings),
    ]


def _about_the_verifier(diagnosis: Diagnosis) -> Iterator[Advice]:
    share = diagnosis.shares[Outcome.FAILED]
    if share >= FAILURES:
        details = Counter(r.score.detail for r in diagnosis.rollouts if r.score.failed)
        yield Advice(
            "mend the verifier, or choose another one (verifier=...)",
            f"it gave no verdict on {share:.0%} of responses: {details.most_common(1)[0][0]}",
        )


def _about_length(diagnosis: Diagnosis, settings: Settings) -> Iterator[Advice]:
    share = diagnosis.shares[Outcome.CUT]
    if share < MANY:
        return
    right = [
        len(r.completion.sampled_ids) for r in diagnosis.rollouts if outcome(r) == Outcome.RIGHT
    ]
    known = f"; right ones took at most {max(right)}" if right else ""
    yield Advice(
        f"sampling.train.max_new_tokens={2 * settings.max_new_tokens}",
        f"{share:.0%} of responses were cut at {settings.max_new_tokens} tokens, before an answer"
        f"{known}",
    )


def _about_the_form(diagnosis: Diagnosis, settings: Settings) -> Iterator[Advice]:
    unread = [r for r in diagnosis.rollouts if outcome(r) in UNREAD]
    # What was cut might have come to an answer.
    ended = [r for r in diagnosis.rollouts if outcome(r) != Outcome.CUT]
    share = len(unread) / max(1, len(ended))
    if share < MANY:
        return
    said = Counter(r.score.detail for r in unread if r.score.detail).most_common(1)
    because = f" (the verifier says: {said[0][0]})" if said else ""
    if len(diagnosis.stated) >= STATED * len(unread):
        key = "verifier.pattern=..., or another verifier"
        yield Advice(
            key if settings.pattern is not None else "verifier=..., one that finds the answer",
            f"the right answer is in {len(diagnosis.stated)} of {len(unread)} responses in which "
            f"none was found or read{because}",
        )
    wanted = f"; it looks for {settings.pattern}" if settings.pattern is not None else ""
    asked = "say it in another way" if settings.suffix.strip() else "the prompt says nothing of it"
    yield Advice(
        "renderer.suffix=..., a text that asks for the form the verifier reads",
        f"{share:.0%} of the responses that come to their end have no answer that can be read"
        f"{wanted}; {asked}",
    )


def _about_variety(diagnosis: Diagnosis, settings: Settings) -> Iterator[Advice]:
    groups = [[r.response for r in problem.rollouts] for problem in diagnosis.problems]
    different = sum(len(set(group)) for group in groups) / max(1, sum(map(len, groups)))
    if different < ALIKE and settings.temperature < 1:
        yield Advice(
            "sampling.train.temperature=1.0",
            f"only {different:.0%} of responses differ from the others to the same problem",
        )


def _about_hints(diagnosis: Diagnosis, settings: Settings) -> Iterator[Advice]:
    unsolved, reached = len(diagnosis.unsolved), len(diagnosis.reached)
    if not unsolved:
        return
    never = f"{unsolved} of {len(diagnosis.problems)} problems were never solved"
    if reached:
        best = max(diagnosis.hints, key=lambda hint: len(hint.reached))
        yield Advice(
            "keep the search for hints on" if settings.evolves else "evolution=gepa",
            f"{never}; hints reach {reached} of them, '{best.text:.60}' alone {len(best.reached)}",
        )
        return
    if diagnosis.hints:
        yield Advice(
            "other hints: reflection=teacher, or reflection.phrases=[...] that tell a method",
            f"{never}, nor with one of {len(diagnosis.hints)} hints",
        )
    if diagnosis.shares[Outcome.WRONG] >= MANY:
        yield Advice(
            "a larger model (model.path=...), or easier problems",
            f"{never}; {diagnosis.shares[Outcome.WRONG]:.0%} of all responses have an answer, and "
            "it is wrong",
        )


def _about_the_group(diagnosis: Diagnosis, settings: Settings) -> Iterator[Advice]:
    solved = sum(problem.solved for problem in diagnosis.problems)
    judged = sum(len(problem.judged) for problem in diagnosis.problems)
    if judged and solved / judged >= EASY:
        yield Advice(
            "harder problems",
            f"{solved / judged:.0%} of responses are right already; a group that is all right "
            "teaches nothing",
        )
        return
    now, twice = (diagnosis.price(size) for size in (settings.group_size, 2 * settings.group_size))
    if now.chance and twice.rollouts < now.rollouts:
        yield Advice(
            f"data.group_size={twice.size}",
            f"a group with contrast costs {twice.rollouts:,.0f} rollouts then, and "
            f"{now.rollouts:,.0f} at {now.size}",
        )
    elif now.chance:
        yield Advice(
            "train: there is something to learn from",
            f"{now.chance:.0%} of groups of {now.size} have contrast, one in {now.rollouts:,.0f} "
            "rollouts",
        )
