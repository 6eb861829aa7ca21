"""Problems, and a policy that solves them as a test says, for searches that know problems."""

from inspect import signature

from p2o.hints.assignment import DiverseAssignment
from p2o.hints.filling import fill
from p2o.hints.problems import ProblemOutcome, Problems
from p2o.prompt import Prompt
from p2o.reflection import Phrasebook
from p2o_callbacks import TemplateTrial
from p2o_callbacks.hint import as_hint


def prompt(number, **columns):
    solution = f"first {number} second {number} third {number} fourth {number}"
    columns = {"row": number, "solution": solution, **columns}
    return Prompt.create(
        [{"role": "user", "content": f"What is {number}?"}], str(100 + number), **columns
    )


PROMPTS = [prompt(number) for number in range(12)]
IDS = sorted(p.id for p in PROMPTS)
NUMBER = {p.id: number for number, p in enumerate(PROMPTS)}


class Policy:
    """Solves a sample when `solves(number of the problem, its hint)`; remembers what was tried.

    None is no verdict.
    """

    def __init__(self, solves, prompts=PROMPTS):
        self.solves, self.tried = solves, []
        self.calls = 0
        self.prompts = {p.id: p for p in prompts}

    def __call__(self, pairs):
        self.calls += 1
        return [self._trial(sample, as_hint(candidate)) for sample, candidate in pairs]

    def _trial(self, sample, hint):
        self.tried.append((sample, hint))
        verdict = self.solves(NUMBER[sample], fill(hint, self.prompts[sample]))
        solved = None if verdict is None else bool(verdict)
        return TemplateTrial(float(bool(solved)), solved, sample, "response", "feedback")


def made(kind, problems=None, **options):
    """A search of a kind, with what it asks for, bound to problems."""
    offered = {"reflection": Phrasebook(), "assigner": DiverseAssignment()}
    wanted = {name: offered[name] for name in offered.keys() & signature(kind).parameters}
    evolver = kind(**{**wanted, **options})
    evolver.bind(problems or Problems(PROMPTS))
    return evolver


def evolve(evolver, policy, hard=IDS, seed=0, group_size=4):
    return evolver.evolve(
        list(hard), policy, group_size=group_size, seed=seed, report=lambda progress: None
    )


def with_solutions(numbers, evolver_keeps=512):
    """Problems of which the policy has solved some."""
    problems = Problems(PROMPTS)
    problems.keep = evolver_keeps
    problems.note([ProblemOutcome(PROMPTS[n].id, 1.0, False, f"It is {100 + n}") for n in numbers])
    return problems
