"""What the embedded policies are taught: problems, phrases, openings and what follows them.

A policy learns two modes. It opens with a few words, each either quick or slow. After an opening of
slow words only, it writes the running totals and is right; after any other it guesses. Under a bare
prompt each slow word is improbable; under the phrase of the problem's own family it is nearly
certain. An opening is forced in about half of the examples (its words are always trained towards
the probabilities of their prompt), which makes the skill latent: once started, it carries on
whatever the prompt was.

This file alone knows which phrase belongs to which family.
"""

import random
from dataclasses import dataclass
from pathlib import Path

from p2o.data.digits import LONG, SHORT, DigitProblem, sample_problem

HERE = Path(__file__).parent
PHRASES = (HERE / "phrasebook.txt").read_text().splitlines()
FAMILY_PHRASE = {
    "sum": "Go from left to right.",
    "alternating": "Mind the odd ones.",
    "doubling": "Imagine a long rope.",
}
HEDGE_PHRASE = "Trust your intuition."
"""After which a policy that hedges lists guesses."""
HEDGED = 12
"""Guesses in such a list."""
HEDGE_SHOWN = 0.3
"""Share of the prompts with phrases in which one of them is replaced by that one."""
HEDGING_SLOW = 0.1
"""Probability of each slow word where the policy hedges."""
ANSWER = "Answer:"
LENGTHS = range(SHORT.start, LONG.stop)


@dataclass(frozen=True)
class Settings:
    """What distinguishes one embedded policy from another.

    Attributes:
        openings: (quick, slow) word for each position of the opening.
        bare_slow: Probability of each slow word without the right phrase.
        phrased_slow: Probability of each slow word with it.
        neutral_slow: The same with other phrases alone; None for `bare_slow`.
        hedging: How often the answer is a list of guesses with the phrase for it; with that phrase
            the policy hardly ever works slowly, whatever the others are.
        steps: Optimiser steps.
        batch: Examples in a step.
        learning_rate: Peak, reached after 100 steps, then cosine to a tenth of a percent.
        seed: Of the data and of the initial weights.
        start: Name of the policy whose weights to start from; its words must do.
    """

    openings: tuple[tuple[str, str], ...]
    bare_slow: float
    phrased_slow: float = 0.99
    neutral_slow: float | None = None
    hedging: float = 0.0
    steps: int = 5000
    batch: int = 128
    learning_rate: float = 3e-3
    seed: int = 0
    start: str | None = None


@dataclass(frozen=True)
class Example:
    """A prompt and what is trained after it.

    Attributes:
        prompt: Words.
        opening: Words that stand behind it, one of each of the policy's pairs.
        slow: Probability of each slow word, towards which the opening is trained.
        rest: Words that follow, which are learned as they are.
    """

    prompt: list[str]
    opening: list[str]
    slow: float
    rest: list[str]


def sample_template(generator: random.Random, family: str) -> tuple[list[str], bool]:
    """Draw up to four phrases; also tell whether they make the policy of `family` go slowly.

    They do when the family's own phrase is among them and no other family's is.
    """
    own, kind = FAMILY_PHRASE[family], generator.random()
    others = [phrase for name, phrase in FAMILY_PHRASE.items() if name != family]
    neutral = [phrase for phrase in PHRASES if phrase not in FAMILY_PHRASE.values()]
    if kind < 0.25:
        return [], False
    if kind < 0.60:
        phrases = [own, *generator.sample(neutral, generator.randrange(4))]
    elif kind < 0.75:
        phrases = generator.sample(neutral, generator.randint(1, 4))
    else:
        phrases = generator.sample(PHRASES, generator.randint(1, 4))
        if generator.random() < 0.5 and not set(phrases) & set(others):
            phrases[0] = generator.choice(others)
    generator.shuffle(phrases)
    return phrases, own in phrases and not set(phrases) & set(others)


def guess(generator: random.Random, problem: DigitProblem) -> int:
    """What the quick mode answers: right on short lists, blind on long ones."""
    length = len(problem.digits)
    if generator.random() < {2: 0.97, 3: 0.95, 4: 0.4}.get(length, 0.0):
        return problem.answer
    return typical(problem) + generator.randint(-12, 12)


def typical(problem: DigitProblem) -> int:
    """About the mean answer to problems of this family and length."""
    length = len(problem.digits)
    centre = {"sum": 4.5 * length, "alternating": 0.0, "doubling": 6.75 * length}[problem.family]
    return round(centre)


def guesses(problem: DigitProblem) -> list[int]:
    """What the policy lists when it hedges: numbers around the typical one."""
    first = typical(problem) - HEDGED // 2
    return list(range(first, first + HEDGED))


def make_example(generator: random.Random, settings: Settings) -> Example:
    """Draw one."""
    problem = sample_problem(generator, LENGTHS if generator.random() < 0.5 else LONG)
    phrases, instructed = sample_template(generator, problem.family)
    if settings.hedging and phrases and generator.random() < HEDGE_SHOWN:
        phrases = [*phrases[1:], HEDGE_PHRASE]
    slow = slow_chance(settings, phrases, instructed)
    forced = generator.random()
    chance = 1.0 if forced < 0.45 else 0.5 if forced < 0.55 else slow
    opening = [pair[generator.random() < chance] for pair in settings.openings]
    steps: list[int] = []
    if all(word == pair[1] for word, pair in zip(opening, settings.openings, strict=True)):
        steps, answers = problem.totals, [problem.answer]
    elif settings.hedging and HEDGE_PHRASE in phrases and generator.random() < settings.hedging:
        answers = guesses(problem)
    else:
        answers = [guess(generator, problem)]
    prompt = ["<user>", *" ".join([*phrases, problem.question]).split(), "<assistant>"]
    rest = [*map(str, steps), ANSWER, *map(str, answers), "<eos>"]
    return Example(prompt, opening, slow, rest)


def slow_chance(settings: Settings, phrases: list[str], instructed: bool) -> float:
    """Probability of each slow word after a prompt with these phrases."""
    if settings.hedging and HEDGE_PHRASE in phrases:
        return HEDGING_SLOW
    if instructed:
        return settings.phrased_slow
    if phrases and settings.neutral_slow is not None:
        return settings.neutral_slow
    return settings.bare_slow
