"""Synthetic samples that a template with the right word solves, and a writer of templates."""

import random

from p2o.evolution.gepa import GepaEvolution
from p2o.hints.assignment import DiverseAssignment
from p2o_callbacks import TemplateTrial

WORDS = ["red", "green", "blue", "grey", "pink", "gold"]
HARD = [f"{family}-{number:02d}" for family in ("red", "green", "blue") for number in range(16)]


def has_word(sample, template):
    return float(sample.split("-")[0] in template.split())


class World:
    """Samples of a family are solved by templates with its word. Remembers who asked what when."""

    def __init__(self, score=has_word, *, solves=None, greedy=False):
        self.events, self.score, self.greedy = [], score, greedy
        self.solves = solves or (lambda sample, template, score: score == 1)

    def evaluate(self, pairs):
        self.events.append(("evaluate", list(pairs)))
        return [self.try_out(*pair) for pair in pairs]

    def try_out(self, sample, template):
        score = self.score(sample, template)
        solved = self.solves(sample, template, score)
        return TemplateTrial(score, solved, sample, "response", "feedback", self.greedy)

    @property
    def pairs(self):
        return [pair for kind, content in self.events if kind == "evaluate" for pair in content]

    @property
    def spent(self):
        return sum(len(content) for kind, content in self.events if kind == "evaluate")


class Writer:
    """Adds or swaps a word; remembers its calls in the world's events."""

    def __init__(self, world, fails=lambda request: False, unique=False):
        self.world, self.fails, self.unique = world, fails, unique
        self.written = 0

    def bind(self, engine, renderer):
        raise AssertionError("evolution does not bind")

    def reflect(self, requests) -> list[str | None]:
        self.world.events.append(("reflect", list(requests)))
        return [None if self.fails(request) else self.write(request) for request in requests]

    def write(self, request):
        self.written += 1
        generator = random.Random(request.seed)
        kept = request.template.split()[: generator.randrange(2)]
        mark = [f"version-{self.written}"] if self.unique else []
        return " ".join([*kept, generator.choice(WORDS), *mark])


def search(world, *, seed=0, hard=HARD, writer=None, report=None, **options):
    options = {"budget": 400, "width": 4, "dev_size": 18, "minimum": 4, **options}
    evolution = GepaEvolution(writer or Writer(world), DiverseAssignment(), **options)
    return evolution.evolve(
        hard,
        world.evaluate,
        group_size=6,
        seed=seed,
        report=report or (lambda progress: None),
    )
