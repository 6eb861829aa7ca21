"""Numbers of a run and of several: against what they are by definition."""

import json
from itertools import pairwise, product
from statistics import fmean, stdev

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from p2o.bench.arms import Arm, make_runs
from p2o.bench.curves import band
from p2o.bench.findings import UNITS, collect
from p2o.bench.outcomes import (
    ENOUGH_SEEDS,
    EndedRun,
    Result,
    mean_accuracy,
    paired_difference,
    reached_at,
    read_outcome,
    spread,
)

ARM = Arm("one", "One", "An arm", ())
LEVELS = st.floats(0, 1)


def summary(after=0.5, hard=0.25, **more):
    return {
        "accuracy": {"before": 0.1, "after": after},
        "hard_accuracy": {"after": hard},
        "collapse": None,
        **more,
    }


@given(st.lists(st.tuples(st.integers(1, 20), LEVELS), min_size=1, max_size=8), st.integers(1, 60))
def test_mean_accuracy_is_that_at_every_rollout_of_the_budget(steps, end):
    spent, curve = 0, []
    for length, value in steps:
        curve.append((spent, value))
        spent += length
    at_each = [
        next(value for (start, value), after in zip(curve, [*curve[1:], (1e9, 0)], strict=True)
             if start <= place < after[0])
        for place in range(end)
    ]  # fmt: skip
    assert mean_accuracy(curve, end) == pytest.approx(fmean(at_each))


def test_what_is_measured_beyond_the_budget_does_not_count():
    assert mean_accuracy([(0, 0.2), (100, 1.0)], 100) == pytest.approx(0.2)
    assert mean_accuracy([(0, 0.2), (104, 1.0)], 100) == pytest.approx(0.2)


def test_a_policy_that_is_not_trained_has_its_first_accuracy_all_along():
    assert mean_accuracy([(0, 0.3)], 1000) == pytest.approx(0.3)


def test_a_level_is_reached_where_it_is_measured_first():
    curve = [(0, 0.1), (10, 0.95), (20, 0.5), (30, 0.97)]
    assert reached_at(curve, 0.9) == 10
    assert reached_at(curve, 0.99) is None


def test_a_spread_is_that_of_a_sample():
    assert spread([0.2, 0.4, 0.9]).deviation == stdev([0.2, 0.4, 0.9])
    assert spread([0.2]).deviation == 0.0


def test_arms_are_compared_seed_by_seed_where_both_have_the_seed():
    found = paired_difference({0: 0.5, 1: 0.9, 2: 0.1}, {1: 0.4, 2: 0.2, 7: 1.0})
    assert found is not None
    assert (found.mean, found.seeds) == (pytest.approx(0.2), 2)
    assert paired_difference({0: 1.0}, {1: 1.0}) is None


def test_an_interval_takes_enough_seeds_and_lies_around_the_mean():
    one = {seed: 0.5 + seed / 100 for seed in range(ENOUGH_SEEDS)}
    other = {seed: 0.1 * (seed % 2) for seed in range(ENOUGH_SEEDS)}
    few = paired_difference(one, {seed: other[seed] for seed in range(ENOUGH_SEEDS - 1)})
    assert few is not None
    assert few.interval is None
    enough = paired_difference(one, other)
    assert enough is not None
    assert enough.interval is not None
    low, high = enough.interval
    assert low < enough.mean < high


def test_pairs_take_out_what_seeds_have_in_common():
    """Arms that vary widely with the seed and differ by the same in each are told apart."""
    one = {seed: 0.1 * seed + 0.05 for seed in range(ENOUGH_SEEDS)}
    other = {seed: 0.1 * seed for seed in range(ENOUGH_SEEDS)}
    found = paired_difference(one, other)
    assert found is not None
    assert found.interval == pytest.approx((0.05, 0.05))


def test_an_outcome_is_read_from_what_the_run_has_written(tmp_path):
    arm = Arm("one", "One", "An arm", (), evaluation=("suite=digits",))
    [run] = make_runs([arm], [3], tmp_path)
    (run.folder / "evaluation").mkdir(parents=True)
    (run.folder / "summary.json").write_text(json.dumps(summary()))
    rows = "step,val/accuracy,ledger/rollouts,ledger/tokens,reward/mean\n"
    rows += "0,0.1,0,0,\n1,,,,0.5\n2,0.5,96,700,\n"
    (run.folder / "metrics.csv").write_text(rows)
    bare = read_outcome(run, "ledger/tokens")
    assert bare.curve == [(0.0, 0.1), (700.0, 0.5)]
    assert (bare.seed, bare.accuracy, bare.hard_accuracy) == (3, 0.5, 0.25)
    results = {"benchmarks": {"a": {"accuracy": 0.6}, "b": {"accuracy": 0.8}}}
    (run.folder / "evaluation" / "results.json").write_text(json.dumps(results))
    templated = read_outcome(run, "ledger/rollouts")
    assert templated.curve == [(0.0, 0.1), (96.0, 0.5)]
    assert (templated.accuracy, templated.hard_accuracy) == (pytest.approx(0.7), None)


@pytest.mark.parametrize("unit", ["rollouts", "tokens", "flops", "seconds"])
def test_a_budget_of_any_kind_is_what_curves_are_drawn_over(tmp_path, unit):
    """Beside an arm that is not trained and has spent nothing, and one that a guard stopped."""
    arms = [Arm(name, name, "An arm", ()) for name in ("base", "whole", "stopped")]
    runs = [make_runs([arm], [0], tmp_path)[0] for arm in arms]
    for run, points in zip(
        runs, ([(0, 0.2)], [(0, 0.2), (50, 0.8)], [(0, 0.2), (10, 0.4)]), strict=True
    ):
        run.folder.mkdir(parents=True)
        (run.folder / "summary.json").write_text(json.dumps(summary()))
        rows = "".join(f"{step},{value},{step}\n" for step, value in points)
        (run.folder / "metrics.csv").write_text(f"step,val/accuracy,ledger/{unit}\n{rows}")
    budget = {**dict.fromkeys(("rollouts", "tokens", "flops", "seconds")), unit: 100}
    found = collect(runs, {"budget": budget, "claims": {}, "against": None, "learned": 0.5})
    assert found.axis == UNITS[unit]
    along = {name: result.accuracies("along")[0] for name, result in found.results.items()}
    assert along == pytest.approx({"base": 0.2, "whole": 0.5, "stopped": 0.38})


def test_an_arm_with_templates_in_front_is_compared_at_the_end_alone():
    curve = [(0, 0.1)]
    templated = Result(ARM, [EndedRun(0, summary(), curve, templated=0.9)], 0, 100)
    bare = Result(ARM, [EndedRun(0, summary(after=0.4), curve)], 0, 100)
    assert templated.compared_with(bare) is None
    at_end = templated.compared_with(bare, "end")
    assert at_end is not None
    assert at_end.mean == pytest.approx(0.5)


@given(
    st.lists(
        st.lists(st.tuples(st.integers(1, 9), LEVELS), min_size=1, max_size=5),
        min_size=1,
        max_size=4,
    )
)
def test_a_band_holds_every_curve_at_every_place(drawn):
    curves = []
    for steps in drawn:
        spent, curve = 0, []
        for length, value in steps:
            curve.append((spent, value))
            spent += length
        curves.append(curve)
    found = band(curves, 50)
    assert 50 in found.spent
    assert all(before < after for before, after in pairwise(found.spent))
    shade = zip(found.low or (), found.high or (), strict=True)
    for place, mean, (low, high) in zip(found.spent, found.mean, shade, strict=True):
        there = [[value for spent, value in curve if spent <= place][-1] for curve in curves]
        assert (low, high) == (min(there), max(there))
        assert mean == pytest.approx(fmean(there))


def test_the_shade_of_five_seeds_is_the_interval_of_their_mean():
    ends = [0.2, 0.4, 0.6, 0.8, 0.9]
    found = band([[(0.0, 0.1), (10.0, end)] for end in ends], 20)
    # Of all resamples that there are
    low, high = np.quantile([fmean(drawn) for drawn in product(ends, repeat=5)], [0.025, 0.975])
    assert found.low == pytest.approx([0.1, low, low], abs=0.01)
    assert found.high == pytest.approx([0.1, high, high], abs=0.01)
