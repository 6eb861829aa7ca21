"""Rows of a run under way: settled, written, dropped when work is done again."""

import pytest

from p2o.records import read
from p2o.records.growing import LARGEST, GrowingRecords


def rows(*numbers):
    return [{"phase": "training", "epoch": 0, "problem": "a", "step": number} for number in numbers]


def written(folder):
    return read(folder).query("rollouts", ["step"])["step"].to_pylist()


@pytest.fixture
def growing(tmp_path):
    return GrowingRecords(tmp_path / "records")


def test_rows_of_settled_work_are_on_the_disk_with_the_checkpoint(growing, tmp_path):
    growing.add("rollouts", rows(1, 2))
    growing.settle()
    growing.add("rollouts", rows(3))
    assert growing.state_dict()["rollouts"] == 1
    assert written(tmp_path) == [1, 2]
    growing.settle()
    growing.write_settled()
    assert written(tmp_path) == [1, 2, 3]


def test_many_rows_are_written_at_once_and_count_when_they_are_settled(growing, tmp_path):
    growing.add("rollouts", rows(-1))
    growing.settle()
    growing.add("rollouts", rows(*range(LARGEST)))
    assert written(tmp_path) == [-1, *range(LARGEST)]
    # The search that they belong to is still going on.
    assert growing.state_dict()["rollouts"] == 1
    growing.settle()
    assert growing.state_dict()["rollouts"] == 2


@pytest.mark.parametrize("lost", [1, LARGEST])
def test_a_run_that_goes_on_does_the_work_after_its_checkpoint_again(growing, tmp_path, lost):
    growing.add("rollouts", rows(1, 2))
    growing.settle()
    state = growing.state_dict()
    growing.add("rollouts", rows(*[7] * lost))
    growing.settle()
    growing.write_settled()
    again = GrowingRecords(tmp_path / "records")
    again.load_state_dict(state)
    again.add("rollouts", rows(3))
    again.settle()
    again.write_settled()
    assert written(tmp_path) == [1, 2, 3]


def test_a_run_that_begins_anew_drops_what_another_left(growing, tmp_path):
    growing.add("rollouts", rows(1))
    growing.settle()
    growing.write_settled()
    anew = GrowingRecords(tmp_path / "records")
    anew.add("rollouts", rows(2))
    anew.settle()
    anew.write_settled()
    assert written(tmp_path) == [2]


def test_the_part_of_an_epoch_takes_the_place_of_one_written_before(growing, tmp_path):
    for problems in ("ab", "c"):
        growing.put("hard", 3, [{"epoch": 3, "problem": problem} for problem in problems])
    assert read(tmp_path).hard()["problem"].to_pylist() == ["c"]


def test_a_hint_is_written_once_also_by_a_run_that_goes_on(growing, tmp_path):
    hint = {"hint": "1f", "text": "Go slowly."}
    for _ in range(2):
        growing.add("hints", [hint])
        growing.settle()
    again = GrowingRecords(tmp_path / "records")
    again.load_state_dict(growing.state_dict())
    again.add("hints", [hint, {"hint": "2f", "text": "Go fast."}])
    again.settle()
    again.write_settled()
    assert read(tmp_path).hints()["hint"].to_pylist() == ["1f", "2f"]


def test_a_hint_of_work_that_is_done_again_is_written_again(growing, tmp_path):
    growing.add("hints", [{"hint": "1f", "text": "Go slowly."}])
    again = GrowingRecords(tmp_path / "records")
    again.load_state_dict(growing.state_dict())
    again.add("hints", [{"hint": "1f", "text": "Go slowly."}])
    again.settle()
    again.write_settled()
    assert read(tmp_path).hints().num_rows == 1
