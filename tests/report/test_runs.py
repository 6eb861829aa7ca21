import json

import pytest

from p2o.errors import UserError
from p2o.report.runs import read_run
from p2o.report.searches import Search
from tests.report.world import write_run


def test_a_run_that_was_killed_is_read_as_far_as_it_came(tmp_path):
    run = write_run(tmp_path / "run")
    (run / "summary.json").unlink()
    with (run / "metrics.csv").open("a") as file:
        file.write("4,2,0.")
    (run / "evolution" / "epoch_0002.json").write_text('{"templates": [')
    read = read_run(run)
    assert [value for _, value in read.column("val/accuracy")] == [0.25, 0.25, 1.0]
    assert read.setting("model.path") == "tiny"
    assert list(read.pools) == [Search(1)]
    assert "epoch_0002.json cannot be read." in read.notes
    assert any("has not ended" in note for note in read.notes)


def test_a_pool_of_another_version_is_left_out(tmp_path):
    run = write_run(tmp_path / "run")
    (run / "evolution" / "epoch_0002.json").write_text(json.dumps({"hints": []}))
    assert "evolution/epoch_0002.json is of another version." in read_run(run).notes


@pytest.mark.parametrize("content", ["", "[1, 2]", "\x00\xff", '{"accuracy": 3'])
def test_a_summary_that_is_none_is_told(tmp_path, content):
    run = write_run(tmp_path / "run")
    (run / "summary.json").write_text(content, encoding="latin-1")
    read = read_run(run)
    assert read.summary == {}
    assert "summary.json cannot be read." in read.notes


def test_what_a_summary_of_another_version_holds_is_left_out_where_it_differs(tmp_path):
    run = write_run(tmp_path / "run")
    summary = json.loads((run / "summary.json").read_text()) | {"accuracy": "high", "ledger": [1]}
    (run / "summary.json").write_text(json.dumps(summary))
    read = read_run(run)
    assert not {"accuracy", "ledger"} & read.summary.keys()
    assert read.summary["held_out"] == 4
    assert {"summary.json: accuracy is of another version."} <= {*read.notes}


def test_what_holds_no_run_is_refused_with_a_way_out(tmp_path):
    write_run(tmp_path / "run")
    with pytest.raises(UserError, match=r"not a run directory.*/run is one"):
        read_run(tmp_path)
    with pytest.raises(UserError, match="no such folder"):
        read_run(tmp_path / "nowhere")


def test_cells_without_a_finite_number_are_left_out(tmp_path):
    run = write_run(tmp_path / "run")
    header = (run / "metrics.csv").read_text().splitlines()[0].split(",")
    cells = {"step": "9", "train/entropy": "nan", "groups/dead": "inf", "hard/size": "word"}
    with (run / "metrics.csv").open("a") as file:
        file.write(",".join(cells.get(name, "") for name in header) + "\n")
    assert read_run(run).metrics[-1] == {"step": 9.0}
