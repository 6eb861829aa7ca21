"""What a few rollouts say of a policy, and what advice follows."""

import math
import random
from collections import Counter
from itertools import combinations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from p2o.cli.advice import Settings, advise
from p2o.evaluation.diagnosis import (
    Diagnosis,
    HintTrial,
    Outcome,
    TriedProblem,
    contrast_chance,
    outcome,
    price_of_contrast,
)
from p2o.evaluation.diagnosis_file import as_json
from p2o.evaluation.statistics import success_interval
from p2o.prompt import Context, Prompt
from p2o.rollout.engine import Completion
from p2o.rollout.runner import Rollout
from p2o.verifiers.base import Score, Status

RIGHT = Score(1.0, Status.OK, "42")
WRONG = Score(0.0, Status.OK, "7")
NOTHING = Score(0.0, Status.NO_ANSWER, detail="nothing matches the pattern")
UNREADABLE = Score(0.0, Status.PARSE_ERROR, "many", "not one number")
BROKEN = Score(0.0, Status.ERROR, detail="no such service")


def prompt(number=0):
    return Prompt.create([{"role": "user", "content": f"Problem number {number}?"}], "42")


def rollout(score, text="", asked=None, cut=False, hint=""):
    asked = asked or prompt()
    completion = Completion((1,) * 5, "length" if cut else "stop", (0.0,) * 5)
    return Rollout(asked, hint, (1,), (1,), Context.TEMPLATED, completion, text, score)


def problem(number, *scores, **more):
    asked = prompt(number)
    return TriedProblem(asked, [rollout(score, asked=asked, **more) for score in scores])


SETTINGS = Settings(24, 1.0, 6, "Answer: (.+)", "", evolves=True)


@pytest.mark.parametrize(
    ("score", "cut", "expected"),
    [
        (RIGHT, True, Outcome.RIGHT),
        (WRONG, False, Outcome.WRONG),
        (WRONG, True, Outcome.WRONG),
        (NOTHING, True, Outcome.CUT),
        (UNREADABLE, True, Outcome.CUT),
        (NOTHING, False, Outcome.NO_ANSWER),
        (UNREADABLE, False, Outcome.UNPARSED),
        (BROKEN, True, Outcome.FAILED),
    ],
)
def test_a_rollout_has_one_outcome(score, cut, expected):
    assert outcome(rollout(score, cut=cut)) == expected


def test_shares_add_up_and_a_rollout_without_a_verdict_is_no_evidence():
    found = Diagnosis([problem(0, RIGHT, WRONG, NOTHING, BROKEN), problem(1, WRONG, WRONG)])
    assert sum(found.shares.values()) == pytest.approx(1)
    assert found.shares[Outcome.WRONG] == 0.5
    assert [each.prompt.id for each in found.unsolved] == [prompt(1).id]
    assert (found.problems[0].solved, len(found.problems[0].judged)) == (1, 3)
    assert found.problems[0].pass_at(4) is None


@given(st.lists(st.sampled_from([0.0, 0.5, 1.0]), min_size=1, max_size=8), st.integers(1, 8))
def test_the_chance_of_a_contrast_is_the_share_of_groups_that_have_one(rewards, size):
    chance = contrast_chance(rewards, size)
    if size <= len(rewards):
        groups = list(combinations(rewards, size))
        assert chance == pytest.approx(sum(len(set(group)) > 1 for group in groups) / len(groups))
    assert -1e-9 <= chance <= 1


@given(st.integers(0, 30), st.integers(1, 30))
def test_an_exact_interval_holds_what_was_seen_and_turns_with_it(right, samples):
    right = min(right, samples)
    low, high = success_interval(right, samples)
    assert 0 <= low <= right / samples <= high <= 1
    assert success_interval(samples - right, samples) == pytest.approx((1 - high, 1 - low))


@pytest.mark.parametrize("rate", [0.01, 0.1, 0.5])
def test_an_exact_interval_holds_the_true_rate_in_19_of_20_cases_at_least(rate):
    cases = [math.comb(12, k) * rate**k * (1 - rate) ** (12 - k) for k in range(13)]
    inside = [low <= rate <= high for low, high in (success_interval(k, 12) for k in range(13))]
    assert sum(case for case, holds in zip(cases, inside, strict=True) if holds) >= 0.95


def test_the_price_of_a_contrast_is_what_groups_cost_when_they_are_drawn():
    rates = [0.0, 0.05, 0.3, 1.0]
    generator = random.Random(0)
    problems = [
        problem(n, *(RIGHT if generator.random() < rate else WRONG for _ in range(400)))
        for n, rate in enumerate(rates)
    ]
    for size in (6, 12):
        price = price_of_contrast(problems, size)
        true = sum(1 - rate**size - (1 - rate) ** size for rate in rates) / len(rates)
        assert price.rollouts == pytest.approx(size / true, rel=0.15)
        assert price.least <= price.rollouts <= price.most


def test_where_no_group_can_have_a_contrast_the_least_price_is_told():
    price = price_of_contrast([problem(n, *[WRONG] * 12) for n in range(10)], 6)
    # Of 120 rollouts none was right: the rate is below 3.1 % in 39 of 40 cases.
    assert (price.chance, price.rollouts, price.most) == (0, math.inf, math.inf)
    assert price.least == pytest.approx(6 / (1 - (1 - 0.0303) ** 6), rel=0.01)


@pytest.mark.parametrize("scores", [[RIGHT] * 6 + [WRONG] * 6, [RIGHT] + [WRONG] * 11])
@pytest.mark.parametrize("size", [6, 12])
def test_problems_that_are_all_alike_do_not_show_that_all_are(scores, size):
    """Every resample of them is like the sample, so that it would have no width."""
    price = price_of_contrast([problem(n, *scores) for n in range(8)], size)
    assert price.least < price.rollouts or price.chance == 1
    # With a share of problems at the lower end, eight of eight are like them in one of 40 cases.
    share = 0.025 ** (1 / 8)
    assert price.most == pytest.approx(size / (share * price.chance))
    assert price.least == pytest.approx(size / (1 - share * (1 - price.chance)))


@pytest.mark.parametrize("right", [1, 6])
def test_one_problem_tells_nothing_of_others(right):
    price = price_of_contrast([problem(0, *[RIGHT] * right, *[WRONG] * (12 - right))], 6)
    assert (price.least, price.most) == (6, math.inf)
    assert math.isfinite(price.rollouts)


def test_pass_at_k_lies_inside_its_interval():
    each = problem(0, *[RIGHT] * 3, *[WRONG] * 9)
    for k in (1, 6, 12):
        estimate = each.pass_at(k)
        assert estimate is not None
        assert estimate.low <= estimate.value <= estimate.high
        assert k > 1 or estimate.value == 0.25


def test_hints_say_whom_they_reach():
    unsolved = problem(0, WRONG, WRONG)
    hints = [
        HintTrial("Go slowly.", [rollout(RIGHT, asked=unsolved.prompt)] * 2),
        HintTrial("Be brief.", [rollout(WRONG, asked=unsolved.prompt)]),
    ]
    found = Diagnosis([unsolved, problem(1, RIGHT)], hints)
    assert hints[0].reached == (unsolved.prompt.id,)
    assert found.reached == {unsolved.prompt.id: [hints[0]]}


def test_five_completions_tell_most_of_different_kinds_first():
    asked = [prompt(n) for n in range(3)]
    scores = [(RIGHT, ""), (WRONG, ""), (NOTHING, "It must be forty-two."), (NOTHING, "Hm.")]
    found = Diagnosis(
        [TriedProblem(each, [rollout(s, text, asked=each) for s, text in scores]) for each in asked]
    )
    kinds = Counter(what for what, _ in found.telling())
    assert set(kinds) == {
        "the right answer is there, and was not found",
        "no answer was found",
        "wrong",
        "right",
    }
    assert sum(kinds.values()) == 5
    assert len({rollout.prompt.id for _, rollout in found.telling(3)}) == 3


def changes(diagnosis, **settings):
    known = SETTINGS.__dict__ | settings
    return [advice.what for advice in advise(diagnosis, Settings(**known))]


def test_a_response_that_is_cut_wants_more_tokens():
    found = Diagnosis([problem(0, *[NOTHING] * 6, cut=True)])
    assert changes(found)[0] == "sampling.train.max_new_tokens=48"


def test_a_larger_model_is_advised_only_where_answers_are_wrong():
    """Without any hint that was tried, too: a response that is cut may come to the right one."""
    assert changes(Diagnosis([problem(0, *[NOTHING] * 6, cut=True)])) == [
        "sampling.train.max_new_tokens=48"
    ]
    assert changes(Diagnosis([problem(0, *[WRONG] * 6)]))[0].startswith("a larger model")


def test_an_answer_that_is_there_and_not_found_is_the_verifiers_fault():
    found = Diagnosis([problem(0, *[NOTHING] * 6, text="so it is 42")])
    assert changes(found)[0] == "verifier.pattern=..., or another verifier"
    assert changes(found, pattern=None)[0] == "verifier=..., one that finds the answer"


def test_an_answer_that_is_nowhere_wants_to_be_asked_for():
    found = Diagnosis([problem(0, *[NOTHING] * 6, text="I do not know")])
    assert changes(found)[0].startswith("renderer.suffix=...")


def test_what_the_question_says_already_is_no_answer():
    asked = Prompt.create([{"role": "user", "content": "Is it 42 or more?"}], "42")
    found = Diagnosis([TriedProblem(asked, [rollout(NOTHING, "it says 42", asked=asked)] * 4)])
    assert not found.stated


def test_a_verifier_that_fails_comes_first():
    found = Diagnosis([problem(0, BROKEN, *[NOTHING] * 6, cut=True)])
    [first, *_] = advise(found, SETTINGS)
    assert first.what.startswith("mend the verifier")
    assert "no such service" in first.why


def test_hints_that_reach_problems_are_a_reason_to_search_and_those_that_do_not_are_not():
    unsolved = problem(0, *[WRONG] * 6)
    helps = HintTrial("Go slowly.", [rollout(RIGHT, asked=unsolved.prompt)])
    fails = HintTrial("Be brief.", [rollout(WRONG, asked=unsolved.prompt)])
    assert changes(Diagnosis([unsolved], [helps]), evolves=False) == ["evolution=gepa"]
    assert changes(Diagnosis([unsolved], [helps])) == ["keep the search for hints on"]
    other, larger = changes(Diagnosis([unsolved], [fails]))
    assert other.startswith("other hints: reflection=teacher")
    assert larger.startswith("a larger model")


def test_what_can_be_learned_is_said_and_what_is_known_already_too():
    mixed = Diagnosis([problem(n, *[RIGHT] * 6, *[WRONG] * 6) for n in range(3)])
    assert changes(mixed) == ["train: there is something to learn from"]
    known = Diagnosis([problem(n, *[RIGHT] * 12) for n in range(3)])
    assert changes(known) == ["harder problems"]


def test_a_larger_group_is_advised_only_where_its_contrast_is_cheaper():
    # A group of six seldom has one success of so few, and 12 have it less than twice as often.
    rare = Diagnosis([problem(n, *[RIGHT] * (n == 0), *[WRONG] * 23) for n in range(4)])
    assert not [change for change in changes(rare) if change.startswith("data.group_size")]


def test_the_file_has_numbers_that_json_knows():
    found = Diagnosis([problem(0, *[WRONG] * 4)], [HintTrial("Go.", [rollout(WRONG)])])
    written = as_json(found, advise(found, SETTINGS), (6, 12), 1.0)
    assert written["problems"][0]["pass"]["12"] is None
    assert written["contrast"][0]["rollouts"] is None
    assert sum(written["outcomes"].values()) == 1


def test_responses_that_are_cut_say_nothing_of_the_form_of_the_others():
    asked = prompt()
    cut = [rollout(NOTHING, asked=asked, cut=True)] * 68
    ended = [rollout(NOTHING, "so 149 - 91 = 20 cakes", asked=asked)] * 4
    assert [
        change[:20] for change in changes(Diagnosis([TriedProblem(asked, cut + ended)]))[:2]
    ] == [
        "sampling.train.max_n",
        "renderer.suffix=...,",
    ]
    assert not [c for c in changes(Diagnosis([TriedProblem(asked, cut)])) if "suffix" in c]
