import csv

import pytest

from p2o.report.chart_spending import accuracy_chart
from p2o.report.health import MOST_POINTS, guards, panels, thinned
from p2o.report.runs import read_run
from p2o.report.spending import cost, share, total
from p2o.report.story import tell
from tests.report.world import write_run


def test_accuracy_is_over_all_rollouts_and_all_tokens(tmp_path):
    curves = tell(read_run(write_run(tmp_path / "run"))).curves
    assert curves["rollouts"] == ([0, 8, 26], [0.25, 0.25, 1.0])
    assert curves["tokens"] == ([0, 40, 130], [0.25, 0.25, 1.0])


def test_tokens_and_seconds_are_those_that_were_logged_where_they_were(tmp_path):
    run = write_run(tmp_path / "run")
    table = list(csv.DictReader((run / "metrics.csv").open()))
    for place, row in enumerate(table):
        if row["val/accuracy"]:
            row |= {"ledger/tokens": str(100 * place), "ledger/seconds": str(7 * place)}
    with (run / "metrics.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, [*table[0]])
        writer.writeheader()
        writer.writerows(table)
    curves = tell(read_run(run)).curves
    assert curves["tokens"] == ([0, 300, 600], [0.25, 0.25, 1.0])
    assert curves["seconds"] == ([0, 21, 42], [0.25, 0.25, 1.0])


def test_without_records_tokens_by_then_are_not_known(tmp_path):
    assert list(tell(read_run(write_run(tmp_path / "run", recorded=False))).curves) == ["rollouts"]


def test_cost_is_a_mean_over_runs_and_leaves_out_what_was_not_counted(tmp_path):
    runs = [read_run(write_run(tmp_path / name)) for name in ("one", "two")]
    runs[1].summary["ledger"]["evolution"]["rollouts"] = 30
    rows = cost(runs)
    # What evaluation took is shown by phase, and is no part of what the method spent.
    assert total(rows, "rollouts") == 10 + 10 + 20
    assert share(rows, "rollouts", "evolution") == pytest.approx(20 / 40)
    assert "tokens scored" not in {row["counter"] for row in rows}
    assert cost([read_run(write_run(tmp_path / "three"))])[0]["share"] == 0.25


def test_a_guard_without_bounds_is_off(tmp_path):
    found = {guard.name: guard.off for guard in guards(read_run(write_run(tmp_path / "run")))}
    assert found == {"finite": False, "floor": True}


def test_panels_are_of_metrics_that_the_run_has(tmp_path):
    found = panels(read_run(write_run(tmp_path / "run")))
    assert found["Entropy of the policy, nats"] == {"train/entropy": [(0, 1.2)]}
    assert "Norm of the gradient" not in found


def test_a_long_series_is_thinned_to_means():
    series = [(float(step), float(step % 2)) for step in range(10 * MOST_POINTS)]
    thin = thinned(series)
    assert len(thin) == MOST_POINTS
    assert {value for _, value in thin} == {0.5}
    assert thin[0][0] == 4.5


@pytest.mark.parametrize(("highest", "top"), [(0.02, 0.1), (0.27, 0.4), (0.5, 0.6), (1.0, 1.0)])
def test_the_axis_of_accuracy_ends_above_what_was_reached(highest, top):
    spec = accuracy_chart({"P2O": [([0, 10], [0.0, highest])]}, "rollouts")
    [line] = [layer for layer in spec["layer"] if layer["mark"]["type"] == "line"]
    assert line["encoding"]["y"]["scale"]["domain"] == [0, pytest.approx(top)]
