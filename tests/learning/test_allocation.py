"""Rollouts are dealt out to what they teach most: against enumeration, and through the loader."""

from itertools import product
from math import prod

import pytest
from hypothesis import given
from hypothesis import strategies as st

from p2o.errors import UserError
from p2o.hints.problems import ProblemOutcome, Problems
from p2o.learning.allocation import Even
from p2o.learning.expected_gain import ExpectedGain, allot, value
from p2o_callbacks.pool import PromptPool, Template
from tests.learning.test_loader import PROMPTS, FakeRunner, make_loader

rates = st.lists(st.floats(0, 1) | st.sampled_from([0.0, 0.5, 1.0]), min_size=1, max_size=4)


@pytest.mark.parametrize("rate", [0.0, 0.1, 0.5, 1.0])
@pytest.mark.parametrize("rollouts", [1, 2, 5])
def test_the_value_counts_groups_that_are_not_alike(rate, rollouts):
    chance = sum(
        prod(rate if right else 1 - rate for right in group)
        for group in product((True, False), repeat=rollouts)
        if len(set(group)) > 1
    )
    assert value(rate, rollouts) == pytest.approx(chance * rate * (1 - rate) ** 2)


@given(rates, st.integers(0, 12), st.integers(1, 3), st.integers(3, 7))
def test_no_other_numbers_of_rollouts_are_worth_more(rates, more, low, high):
    total = min(low * len(rates) + more, high * len(rates))
    sizes = allot(rates, total, low, high)
    assert sum(sizes) == total
    assert all(low <= size <= high for size in sizes)
    best = max(
        sum(map(value, rates, others))
        for others in product(range(low, high + 1), repeat=len(rates))
        if sum(others) == total
    )
    assert sum(map(value, rates, sizes)) == pytest.approx(best)
    assert allot(rates, total, low, high) == sizes


def test_what_teaches_nothing_is_dealt_out_evenly():
    assert allot([0.0, 1.0, 0.0], 19, 2, 128) == [7, 6, 6]
    assert ExpectedGain().sizes([None] * 3, 6) == [6, 6, 6]
    assert Even().sizes([None, (6, 6)], 6) == [6, 6]


def test_a_prompt_on_which_all_failed_gets_more_and_one_that_is_always_right_the_fewest():
    tallies = [(0, 6), (6, 6), (3, 6)]
    hard, easy, half = ExpectedGain().sizes(tallies, 6)
    assert hard > half > easy == 2
    # As the paper has it: a group that was all alike has no value.
    assert ExpectedGain(prior=0).sizes(tallies, 6) == [2, 2, 14]


@pytest.mark.parametrize(("tally", "rate"), [(None, 0.5), ((0, 6), 0.5 / 7), ((2, 2), 2.5 / 3)])
def test_the_rate_of_a_prompt_is_smoothed(tally, rate):
    assert ExpectedGain().rate(tally) == pytest.approx(rate)
    assert ExpectedGain(prior=0).rate(None) == 0.5


@pytest.mark.parametrize("settings", [{"low": 1}, {"low": 8, "high": 4}])
def test_bounds_that_cannot_work_are_named(settings):
    with pytest.raises(UserError, match=r"^low="):
        ExpectedGain(**settings)


@pytest.mark.parametrize("settings", [{"low": 8}, {"high": 4}])
def test_the_mean_of_groups_has_to_lie_within_the_bounds(settings):
    with pytest.raises(UserError, match=r"high=.*: group_size=6 is the mean"):
        ExpectedGain(**settings).sizes([None], 6)


def test_what_is_known_of_groups_without_hints_outlives_a_checkpoint():
    problems = Problems(PROMPTS)
    first, second, third = (prompt.id for prompt in PROMPTS[:3])
    problems.note(
        [
            ProblemOutcome(first, 1 / 3, False, None, judged=6),
            ProblemOutcome(second, 0.5, True, None),
        ]
    )
    problems.note(
        [ProblemOutcome(first, None, False, None), ProblemOutcome(third, 1.0, False, "4", judged=2)]
    )
    assert problems.bare == {first: (2, 6), third: (2, 2)}
    again = Problems(PROMPTS)
    again.load_state_dict(problems.state_dict())
    assert again.bare == problems.bare


def test_a_batch_has_as_many_rollouts_as_with_equal_groups_and_hints_keep_theirs():
    runner, logged = FakeRunner(), []
    loader = make_loader(runner, logged=logged)
    loader.allocation = ExpectedGain()
    ids = [prompt.id for prompt in PROMPTS]
    # Two always right, seven always wrong, and one has hints.
    loader.problems.bare = {prompt_id: (4 * (prompt_id in ids[:2]), 4) for prompt_id in ids[:9]}
    loader.pool = PromptPool((Template("Think."),), (0,), {ids[9]: (0,) * 4})
    list(loader)
    for (pairs, _), metrics in zip(runner.calls, logged, strict=True):
        asked = [prompt.id for prompt, _ in pairs]
        groups = list(dict.fromkeys(asked))
        sizes = {key: asked.count(key) for key in groups}
        assert len(asked) == 4 * len(groups)
        assert metrics["groups/smallest"] == min(sizes.values())
        assert metrics["groups/largest"] == max(sizes.values())
        assert sizes.get(ids[9], 4) == 4
        failing = [sizes[key] for key in groups if key in ids[2:9]]
        solved = [sizes[key] for key in groups if key in ids[:2]]
        assert all(fewest < least for fewest in solved for least in failing)
    assert sum(len(pairs) for pairs, _ in runner.calls) == 4 * len(PROMPTS)


def test_equal_groups_say_nothing_of_their_size():
    logged: list[dict[str, float]] = []
    list(make_loader(FakeRunner(), logged=logged))
    assert not any("groups/largest" in metrics for metrics in logged)
