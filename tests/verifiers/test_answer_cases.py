"""Answers that were reported elsewhere, all of them; the kinds are tested beside each verifier."""

import json
from pathlib import Path

import pytest
from math_data import prompt_of

from p2o.verifiers import MultipleChoice, Numeric
from p2o.verifiers.python_tests import PythonTests

FILE = Path(__file__).parents[3] / "shared" / "data" / "answers" / "cases.jsonl"
MOST_CHOICES = 10

pytestmark = pytest.mark.skipif(not FILE.exists(), reason=f"{FILE} is not there")


def wrong(verifier, name):
    rows = [json.loads(line) for line in FILE.read_text().splitlines()]
    rows = [row for row in rows if row["verifier"] == name]
    assert rows
    scores = verifier.score(
        [row["response"] for row in rows], [prompt_of(row["gold"]) for row in rows]
    )
    return [
        (row["kind"], row["gold"], row["response"], row["expected"], score)
        for row, score in zip(rows, scores, strict=True)
        if score.reward != row["expected"]
    ]


def test_numbers():
    assert not wrong(Numeric(), "numeric")


def test_letters():
    assert not wrong(MultipleChoice(MOST_CHOICES), "multiple_choice")


@pytest.mark.slow
def test_code():
    assert not wrong(PythonTests(seconds=10.0, workers=4), "python_tests")
