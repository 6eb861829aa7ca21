"""Lengths of responses and pass@k, as a report tells of them."""

import csv
from collections.abc import Sequence
from pathlib import Path

import pytest

from p2o.report.drift import drifts, pass_at
from p2o.report.health import panels
from p2o.report.runs import read_run


def run_of(folder: Path, lengths: list[float], evaluations: Sequence[tuple[float, ...]] = ()):
    """A run with the mean length at each step, and accuracy, pass@2 and pass@8 by evaluation."""
    rows = [{"step": step, "response/tokens": length} for step, length in enumerate(lengths)]
    names = ("val/accuracy", "val/pass_at_2", "val/pass_at_8")
    rows += [{"step": 9, **dict(zip(names, each, strict=True))} for each in evaluations]
    columns = dict.fromkeys(name for row in rows for name in row)
    with (folder / "metrics.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, columns)
        writer.writeheader()
        writer.writerows(rows)
    return read_run(folder)


@pytest.mark.parametrize(
    ("lengths", "told"),
    [
        (
            [10, 11, 12, 13],
            "had 10.0 tokens in the first tenth of the steps, and 13.0 in the last.",
        ),
        # Tenths of 20 steps are two of them.
        ([10, 20, *[99] * 16, 30, 60], "They became 3.0 times longer."),
        ([30, 10], "They became 3.0 times shorter."),
        # Half as long again is a drift; less is none.
        ([10, 15], "They became 1.5 times longer."),
        ([10, 14.9], "14.9 in the last."),
        ([0, 10], "had 0.0 tokens"),
    ],
)
def test_the_length_of_responses_is_told_and_by_how_much_it_drifted(tmp_path, lengths, told):
    [sentence] = drifts(run_of(tmp_path, lengths))
    assert told in sentence
    assert ("They became" in sentence) == ("They became" in told)


@pytest.mark.parametrize(
    ("lengths", "cut", "told"),
    [
        ((10, 12), (0.1, 0.25), True),
        ((10, 12), (0.25, 0.1), False),
        ((10, 8), (0.1, 0.25), False),
    ],
)
def test_longer_responses_that_are_cut_off_more_often_are_told_with_what_to_set(
    tmp_path, lengths, cut, told
):
    rows = "".join(
        f"{step},{pair[0]},{pair[1]}\n" for step, pair in enumerate(zip(lengths, cut, strict=True))
    )
    (tmp_path / "metrics.csv").write_text(f"step,response/tokens,response/cut\n{rows}")
    [sentence] = drifts(read_run(tmp_path))
    expected = "More of them are cut off, 25.0 % in place of 10.0 %; see algorithm.overlong and sa"
    assert (expected in sentence) == told
    assert ("cut off" in sentence) == told


def test_a_run_without_lengths_says_nothing(tmp_path):
    assert drifts(run_of(tmp_path, [10])) == []


@pytest.mark.parametrize(
    ("first", "last", "fell"),
    [
        ((0.3, 0.4, 0.62), (0.41, 0.45, 0.55), True),
        ((0.3, 0.4, 0.62), (0.41, 0.45, 0.62), False),
        ((0.3, 0.4, 0.62), (0.29, 0.45, 0.55), False),
    ],
)
def test_pass_at_k_that_falls_while_accuracy_rises_is_told(tmp_path, first, last, fell):
    run = run_of(tmp_path, [], [first, (0.9, 0.9, 0.9), last])
    [sentence] = drifts(run)
    assert sentence.startswith(
        "pass@8 on held-out problems, the probability that one of 8 responses is right, went from "
        f"62.0 % to {100 * last[2]:.1f} %; accuracy went from 30.0 % to {100 * last[0]:.1f} %."
    )
    assert (
        sentence.endswith("fell while accuracy rose: right more often, on fewer problems.") == fell
    )
    assert pass_at(run) == {2: "val/pass_at_2", 8: "val/pass_at_8"}


def test_both_have_a_chart(tmp_path):
    run = run_of(tmp_path, [10, 12], [(0.3, 0.4, 0.6), (0.4, 0.4, 0.6)])
    shown = panels(run)
    assert shown["Length of a response, tokens"] == {"response/tokens": [(0, 10), (1, 12)]}
    assert list(shown["Accuracy and pass@k, held out"]) == [
        *("val/accuracy", "val/pass_at_2", "val/pass_at_8")
    ]
    (tmp_path / "other").mkdir()
    assert "Accuracy and pass@k, held out" not in panels(run_of(tmp_path / "other", [10, 12]))
