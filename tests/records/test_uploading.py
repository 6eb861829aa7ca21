"""What Weights & Biases is given of a run's records."""

from types import SimpleNamespace

import pytest

from p2o.records import read, uploading
from p2o.records.uploading import HINTS, ROLLOUTS, hint_rows, rollout_rows, upload
from tests.report.world import COLUMNS, write_run


@pytest.fixture
def run(tmp_path):
    return write_run(tmp_path / "run")


def column(rows, columns, name):
    return [row[columns.index(name)] for row in rows]


def test_a_rollout_has_its_question_its_answer_and_the_text_of_its_hint(run):
    rows = rollout_rows(read(run))
    assert len(rows) == 26
    assert set(column(rows, ROLLOUTS, "hint")) == {"", COLUMNS[1]}
    assert column(rows, ROLLOUTS, "question")[0].startswith("What is a?")
    assert set(column(rows, ROLLOUTS, "gold")) == {"7"}


def test_of_very_many_rollouts_every_so_many_are_taken(run, monkeypatch):
    monkeypatch.setattr(uploading, "MOST_ROLLOUTS", 10)
    rows = rollout_rows(read(run))
    assert len(rows) == 9
    assert set(column(rows, ROLLOUTS, "phase")) == {"training", "evolution"}


def test_a_hint_has_what_it_was_good_for(run):
    [row] = hint_rows(read(run))
    assert dict(zip(HINTS, row, strict=True))["text"] == COLUMNS[1]
    assert dict(zip(HINTS, row, strict=True))["first_solved"] == 2


def test_a_run_without_records_or_hints_gives_nothing(tmp_path):
    (tmp_path / "run").mkdir()
    # Nothing is asked of it.
    upload(SimpleNamespace(), tmp_path / "run", None)
