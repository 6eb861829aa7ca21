"""What Weights & Biases is given of a run's records."""

import weakref
from types import SimpleNamespace

import pytest
import wandb

from p2o.errors import UserError
from p2o.records import Records, read, uploading
from p2o.records.uploading import HINTS, ROLLOUTS, hint_rows, rollout_rows, upload
from p2o.records.writing import append
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


def write_parts(folder, *sizes):
    """A run of rollouts that are told apart by their responses."""
    numbers = iter(range(sum(sizes)))
    for size in sizes:
        append(folder, "rollouts", [row(next(numbers)) for _ in range(size)])


def row(number):
    key = {"epoch": 0, "step": 0, "group": number, "index": 0, "problem": "a"}
    return {**key, "phase": "training", "hint": "", "response": f"response {number}"}


@pytest.mark.parametrize("most", [1, 2, 3, 7, 12, 13, 100])
@pytest.mark.parametrize("sizes", [(), (13,), (5, 0, 1, 1, 6), (1,) * 13, (2, 9, 2)])
def test_rollouts_of_several_parts_are_taken_as_those_of_one_would_be(
    tmp_path, monkeypatch, sizes, most
):
    monkeypatch.setattr(uploading, "MOST_ROLLOUTS", most)
    (tmp_path / "run").mkdir()
    write_parts(tmp_path / "run", *sizes)
    every = -(-sum(sizes) // most) or 1
    expected = [f"response {number}" for number in range(0, sum(sizes), every)]
    assert column(rollout_rows(read(tmp_path / "run")), ROLLOUTS, "response") == expected


def test_a_part_is_passed_over_that_cannot_be_read(tmp_path, monkeypatch):
    monkeypatch.setattr(uploading, "MOST_ROLLOUTS", 2)
    write_parts(tmp_path, 2, 2, 2)
    (tmp_path / "records" / "rollouts" / "part-000001.parquet").write_bytes(b"PAR1")
    expected = ["response 0", "response 4"]
    assert column(rollout_rows(read(tmp_path)), ROLLOUTS, "response") == expected


def test_texts_are_read_of_those_parts_alone_that_have_a_row_one_after_the_other(
    tmp_path, monkeypatch
):
    monkeypatch.setattr(uploading, "MOST_ROLLOUTS", 3)
    write_parts(tmp_path, *[4] * 12)
    texts, real = [], Records._read_part

    def counted(self, path, schema):
        table = real(self, path, schema)
        if "response" in schema.names:
            assert sum(held() is not None for held in texts) <= 1
            texts.append(weakref.ref(table))
        return table

    monkeypatch.setattr(Records, "_read_part", counted)
    assert len(rollout_rows(read(tmp_path))) == 3
    assert len(texts) == 3


@pytest.mark.parametrize("error", [wandb.Error("no\nroom"), OSError("no\nroom")])
def test_what_weights_and_biases_does_not_take_is_said_in_one_line(run, error):
    def refuse(tables):
        raise error

    expected = rf"^{run}: Weights & Biases did not take .* \({type(error).__name__}: no\)$"
    with pytest.raises(UserError, match=expected):
        upload(SimpleNamespace(log=refuse), run, None)


def test_a_hint_has_what_it_was_good_for(run):
    [row] = hint_rows(read(run))
    assert dict(zip(HINTS, row, strict=True))["text"] == COLUMNS[1]
    assert dict(zip(HINTS, row, strict=True))["first_solved"] == 2


def test_a_run_without_records_or_hints_gives_nothing(tmp_path):
    (tmp_path / "run").mkdir()
    # Nothing is asked of it.
    upload(SimpleNamespace(), tmp_path / "run", None)
