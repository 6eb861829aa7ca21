"""Every file of conf/hints makes hints for the problems of the embedded world."""

from typing import Any

import pytest

from p2o.configuration.build import build, conf_directory
from p2o.configuration.overrides import as_running, compose_config
from p2o.data.sources import DigitLists
from p2o.evolution.guarded import GuardedSearch
from p2o.hints.filling import fill
from p2o.hints.problems import KnowsProblems, ProblemOutcome, Problems
from p2o.reflection import Phrasebook
from p2o_callbacks import TemplateTrial
from p2o_callbacks.hint import as_hint

pytestmark = pytest.mark.slow

FILES = sorted(path.stem for path in (conf_directory() / "hints").glob("*.yaml"))
PROMPTS = DigitLists(train=32, held_out=1, short_share=0.5).load(0).train
HARD = sorted(prompt.id for prompt in PROMPTS[16:])


class HintedSolves:
    """A policy that solves whatever it is given a hint for; remembers what it was asked."""

    def __init__(self):
        self.prompts = {prompt.id: prompt for prompt in PROMPTS}
        self.tried = []

    def __call__(self, pairs):
        self.tried += pairs
        return [self.trial(self.prompts[sample], hint) for sample, hint in pairs]

    def trial(self, prompt, hint):
        solved = not fill(as_hint(hint), prompt).empty
        return TemplateTrial(
            float(solved), solved, prompt.question, "", "Wrong.", True, prompt.golds
        )


def made(choice) -> Any:
    """The search of a choice, as p2o-train makes it, and what it knows."""
    problems = Problems(PROMPTS)
    with as_running(compose_config([choice], "train")) as config:
        evolver = build(
            config.evolution.evolver,
            "evolution.evolver",
            offered={
                "reflection": Phrasebook(),
                "assigner": build(config.assignment, "assignment"),
            },
        )
    if isinstance(evolver, KnowsProblems):
        evolver.bind(problems)
    # The short lists are solved, as the embedded policy does.
    problems.note([ProblemOutcome(p.id, 1.0, False, f"Answer: {p.gold}") for p in PROMPTS[:16]])
    return evolver


@pytest.mark.parametrize("kind", FILES)
def test_each_kind_deals_hints_out_to_hard_problems(kind):
    policy, evolver = HintedSolves(), made(f"hints={kind}")
    found = evolver.evolve(HARD, policy, group_size=4, seed=0, report=lambda progress: None)
    hinted = [sample for sample in HARD if found.pool.hint_for(sample, 0)]
    assert len(hinted) > len(HARD) / 2
    for sample in hinted:
        for k in range(4):
            hint = fill(as_hint(found.pool.hint_for(sample, k)), policy.prompts[sample])
            assert "{" not in hint.text + hint.prefix
            assert not hint.empty or not found.pool.hint_for(sample, k)
    assert found.metric_calls == len(policy.tried)
    # All but the written ones share one guard, and those have one of their own.
    assert isinstance(evolver, GuardedSearch) or evolver.leaks == "reject"
    assert found.leaks is not None


CHOICES = [*(f"hints={kind}" for kind in FILES), "evolution=single_turn_reflection"]


@pytest.mark.parametrize("choice", CHOICES)
def test_problems_that_are_no_more_are_neither_tried_nor_dealt_to(choice):
    """A run that goes on with other data has its hard set from before."""
    policy, evolver = HintedSolves(), made(choice)
    before = ["gone", *HARD]
    found = evolver.evolve(before, policy, group_size=4, seed=0, report=lambda progress: None)
    assert found.pool.assignment
    dealt = evolver.deal(found.pool, before, group_size=4, seed=0)
    assert {*found.pool.assignment, *dealt} <= {*HARD}


def test_there_is_a_training_run_for_each_kind():
    from tests.train.test_hints import KINDS

    assert {*KINDS, "instructions"} == set(FILES)
