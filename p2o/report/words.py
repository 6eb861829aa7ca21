"""A run in sentences made of its numbers."""

from collections import Counter
from collections.abc import Mapping, Sequence
from statistics import mean
from typing import Any

from p2o.records.labels import how_asked
from p2o.report.arms import Arms, by_seed, has_ended
from p2o.report.drift import drifts
from p2o.report.intervals import FEWEST_SEEDS, Difference, bootstrap_mean, wilson
from p2o.report.spending import share, total
from p2o.report.story import RunStory

QUOTED = 160
"""Characters of a hint that a sentence quotes."""
MOST_HINTS = 3

Paragraphs = dict[str, list[str]]
"""Heading to sentences."""


def percent(value: float | None) -> str:
    """A share as it is read.

    >>> percent(0.275)
    '27.5 %'
    """
    return "unknown" if value is None else f"{100 * value:.1f} %"


def quote(text: str) -> str:
    """A text in quotation marks on one line, cut where it is long."""
    line = " ".join(text.split())
    return f"“{line if len(line) <= QUOTED else line[:QUOTED].rstrip() + ' …'}”"


def count(number: float, noun: str) -> str:
    """A number with its noun.

    >>> count(1, "epoch"), count(1200, "rollout")
    ('1 epoch', '1,200 rollouts')
    """
    return f"{number:,.0f} {noun}{'' if number == 1 else 's'}"


def duration(seconds: float) -> str:
    """Seconds, minutes or hours.

    >>> duration(75), duration(7200)
    ('1 min 15 s', '2 h 0 min')
    """
    if seconds < 60:
        return f"{seconds:.0f} s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes} min {rest} s"
    return f"{minutes // 60} h {minutes % 60} min"


def tell_run(story: RunStory) -> Paragraphs:
    """What was trained, what it learned, what it cost."""
    found = {
        "What was trained": _trained(story),
        "What did it learn?": _accuracy(story),
        "What did it learn to say?": _hints(story),
        "Which problems did that unlock?": _unlocked(story),
        "Do they still need it?": _need(story),
        "What did it cost?": _cost(story),
    }
    return {heading: sentences for heading, sentences in found.items() if sentences}


def _trained(story: RunStory) -> list[str]:
    run = story.run
    sentences = []
    model, epochs = (
        run.setting("model.path"),
        [row["epoch"] for row in run.metrics if "epoch" in row],
    )
    if model:
        known = len(story.train_problems)
        problems = count(known, "problem") if known else "its problems"
        size = run.setting("data.group_size")
        group = f", {size} rollouts each" if size else ""
        length = f" for {count(max(epochs) + 1, 'epoch')}" if epochs else ""
        sentences.append(f"{model} was trained{length} on {problems}{group}; seed {run.seed}.")
    if run.overrides:
        sentences.append(f"Settings of its command line: {' '.join(run.overrides)}.")
    if run.summary.get("collapse"):
        sentences.append(f"A guard stopped it: {run.summary['collapse']}")
    return sentences


def _accuracy(story: RunStory) -> list[str]:
    summary, sentences = story.run.summary, []
    before, after = _pair(summary, "accuracy")
    number = summary.get("held_out") or 0
    if after is not None and number:
        low, high = wilson(after * number, number)
        # Before training there is no hint to ask with.
        bare = ", without any" if story.run.setting("held_out_hint") else ""
        sentences.append(
            f"{how_asked(story.run.config).capitalize()} it solves {percent(after)} of "
            f"{count(number, 'held-out problem')} "
            f"(95 % interval over problems {percent(low)} to {percent(high)}), "
            f"{percent(before)} before training{bare}."
        )
        measured, updates = summary.get("measured_at"), summary.get("updates")
        if measured is not None and updates is not None and measured < updates:
            sentences.append(
                f"That was after {count(measured, 'update')}; the run ended after {updates:,}."
            )
    elif story.curves:
        x, y = next(iter(story.curves.values()))
        sentences.append(
            f"At the last evaluation so far, after {count(x[-1], 'rollout')}, it solves "
            f"{percent(y[-1])} of the held-out problems {how_asked(story.run.config)}; "
            f"{percent(y[0])} at the first."
        )
    hard = summary.get("held_out_hard") or 0
    _, hard_after = _pair(summary, "hard_accuracy")
    if hard and hard_after is not None:
        sentences.append(
            f"Of the {count(hard, 'held-out problem')} that the untrained policy never solved, it "
            f"solves {percent(hard_after)}."
        )
    if number and after is not None and before is not None:
        low, high = wilson(after * number, number)
        if low <= before <= high:
            sentences.append("The accuracy before training lies within that interval.")
    return [*sentences, *drifts(story.run)]


def _hints(story: RunStory) -> list[str]:
    texts = {node.hint: node for node in story.nodes if node.text.strip()}
    # Without records a pool is all that is known of a search.
    searches = story.searched or {node.search for node in story.nodes}
    if not searches:
        return ["There was no search, or it published no pool."]
    if not texts:
        made = "1 search" if len(searches) == 1 else f"{len(searches)} searches"
        return [f"Nothing: {made} found no hint.", *_rejected(story)]
    used = {node.hint for node in story.nodes if node.in_use and node.text.strip()}
    kinds = "search" if len(searches) == 1 else "searches"
    sentences = [
        f"{len(searches)} {kinds} kept {count(len(texts), 'different hint')}; "
        f"{len(used)} of them were in use."
    ]
    leaks = sum(value for _, value in story.run.column("evolution/leaks"))
    if leaks:
        sentences.append(f"{count(leaks, 'candidate')} gave a problem away.")
    ranked = sorted(
        (hint for hint in story.hint_use if hint in story.hint_texts),
        key=lambda hint: -len(story.hint_use[hint].first),
    )
    for hint in ranked[:MOST_HINTS]:
        use = story.hint_use[hint]
        if use.first:
            sentences.append(
                f"{quote(story.hint_texts[hint])} was the first to solve "
                f"{count(len(use.first), 'problem')}; {len(use.internalised)} of them were solved "
                "without any hint later."
            )
    if not any(use.first for use in story.hint_use.values()):
        best = max(texts.values(), key=lambda node: node.score or 0.0)
        score = "" if best.score is None else f" (dev score {best.score:.2f})"
        sentences.append(f"The best was {quote(best.text)}{score}.")
    return sentences


def _rejected(story: RunStory) -> list[str]:
    """What searches have asked for and not kept, and the most frequent reason."""
    if not story.rejected:
        return []
    [(reason, times)] = Counter(node.rejected for node in story.rejected).most_common(1)
    written = count(len(story.rejected), "candidate")
    return [
        f"They tried {written} and kept none; the most frequent reason, {times} times: {reason}."
    ]


def _unlocked(story: RunStory) -> list[str]:
    if not story.lives:
        return _hard_set(story)
    hard = [life for life in story.lives if life["hard"] is not None]
    unlocked = [life for life in story.lives if life["unlocked"] is not None]
    sentences = [
        f"{len(hard)} of {count(len(story.lives), 'training problem')} were hard at some time; "
        f"{len(unlocked)} were first solved with a hint."
    ]
    if story.river:
        last = story.river[-1]
        sentences.append(
            f"At the end {last['bare']} are solved without a hint, {last['hinted']} only with one, "
            f"{last['relapsed']} were solved before and are not now, and {last['unsolved']} were "
            "never solved."
        )
    return sentences


def _hard_set(story: RunStory) -> list[str]:
    """What can be said without records."""
    sizes = [size for _, size in story.run.column("hard/size")]
    if not sizes:
        return []
    return [
        f"{count(sizes[0], 'training problem')} were hard after the first epoch, {sizes[-1]:.0f} "
        "are at the end. Which hint solved which is not on record."
    ]


def _need(story: RunStory) -> list[str]:
    unlocked = [life for life in story.lives if life["unlocked"] is not None]
    sentences = []
    if unlocked:
        inside = [life for life in unlocked if life["internalised"] is not None]
        lag = mean(life["internalised"] - life["unlocked"] for life in inside) if inside else 0
        lost = sum(life["state"] == "relapsed" for life in inside)
        sentences.append(
            f"{len(inside)} of the {count(len(unlocked), 'problem')} that a hint unlocked were "
            f"solved without one later ({percent(len(inside) / len(unlocked))})"
            + (f", {lag:.1f} epochs later on average" if inside else "")
            + f"; {lost} of these fail again at the end."
        )
    elif story.lives:
        sentences.append("No hint has unlocked a problem, so there is none that they could need.")
    table = story.two_by_two
    if table is not None:
        bare, hinted = (table.cells["after", hints].share for hints in ("without", "with"))
        if bare is not None:
            more = "" if hinted is None else f", with one {percent(hinted)}"
            sentences.append(
                f"On {table.problems} the last rollouts without a hint solve {percent(bare)}{more}."
            )
            if hinted is not None and not table.at_once:
                sentences.append(
                    "These are not all of the same epochs: a problem that is no longer hard is "
                    "asked only without a hint."
                    if table.mixed
                    else "These are of other epochs: a problem that is solved without a hint is "
                    "not asked with one, and a hard one is not asked without."
                )
    reliance = story.run.column("templated/reliance")
    if len(reliance) > 1:
        sentences.append(
            f"Reliance on the hint went from {reliance[0][1]:.3f} to {reliance[-1][1]:.3f} nats a "
            "token of a success: 0 means that the answer is as likely without it."
        )
    return sentences


def _cost(story: RunStory) -> list[str]:
    rows = story.cost
    if not rows:
        spent = story.run.column("ledger/rollouts")
        so_far = "so far, search included, evaluation not"
        return [f"{count(spent[-1][1], 'rollout')} {so_far}."] if spent else []
    seconds, rollouts = total(rows, "seconds"), total(rows, "rollouts")
    sentences = [
        f"{count(rollouts, 'rollout')} with {count(total(rows, 'generated_tokens'), 'token')}, in "
        f"{duration(seconds)}, evaluation not counted."
    ]
    searched, timed = share(rows, "rollouts", "evolution"), share(rows, "seconds", "evolution")
    if searched:
        sentences.append(
            f"The search made {percent(searched)} of the rollouts and took {percent(timed)} of the "
            f"time; it asked for {count(total(rows, 'reflection_calls'), 'reflection')}."
        )
    return sentences


def tell_arms(arms: Arms, against: str, found: Mapping[str, Difference]) -> Paragraphs:
    """Several runs together: each arm, and its difference to one of them.

    Args:
        arms: Runs by arm.
        against: The arm that the others are compared with.
        found: Differences of final accuracy, by the other arm.
    """
    sentences = []
    for arm, runs in arms.items():
        values = list(by_seed(runs, "accuracy").values())
        seeds = count(len(values), "seed")
        going = len(runs) - sum(map(has_ended, runs))
        if going == len(runs):
            sentences.append(f"{arm}: no run has ended.")
            continue
        left_out = f" {count(going, 'run')} of it {_have(going)} not ended." if going else ""
        if not values:
            sentences.append(f"{arm}: no evaluation yet.{left_out}")
        else:
            sentences.append(
                f"{arm}: {percent(mean(values))} of the held-out problems "
                f"{how_asked(runs[0].config)}, mean of {seeds}{_interval(values)}.{left_out}"
            )
    paragraphs = {"What the arms came to": sentences}
    if found:
        paragraphs[f"Compared with {against}, seed by seed"] = [
            f"{arm}: {_signed(each.mean)}. {each.says}" for arm, each in found.items()
        ]
    return paragraphs


def _interval(values: Sequence[float]) -> str:
    if len(values) < FEWEST_SEEDS:
        return ", too few for an interval"
    low, high = bootstrap_mean(values)
    return f", 95 % interval {percent(low)} to {percent(high)}"


def _have(number: int) -> str:
    return "has" if number == 1 else "have"


def _signed(value: float | None) -> str:
    return "nothing to compare" if value is None else f"{100 * value:+.1f} points"


def _pair(summary: Mapping[str, Any], key: str) -> tuple[float | None, float | None]:
    values = summary.get(key) or {}
    return values.get("before"), values.get("after")
