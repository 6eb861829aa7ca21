"""Records are read as they are, whatever is left of them."""

import subprocess
import sys

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from p2o.errors import UserError
from p2o.records import TABLES, epochs, lives, read, states
from p2o.records.writing import append

ROW = {"phase": "training", "epoch": 0, "problem": "a", "response": "17", "solved": True}


def test_rows_come_back_in_their_order_with_the_types_of_the_schema(tmp_path):
    append(tmp_path, "rollouts", [ROW, {**ROW, "problem": "b", "solved": None}])
    append(tmp_path, "rollouts", [{**ROW, "problem": "c", "reward": 0.5}])
    table = read(tmp_path).rollouts()
    assert table.schema.equals(TABLES["rollouts"])
    assert table["problem"].to_pylist() == ["a", "b", "c"]
    assert table["solved"].to_pylist() == [True, None, True]
    assert table["reward"].to_pylist() == [None, None, 0.5]
    assert read(tmp_path).tables == ["rollouts"]


def test_a_query_reads_the_columns_named_and_the_rows_that_are_equal(tmp_path):
    append(tmp_path, "rollouts", [{**ROW, "epoch": e, "problem": p} for e in (0, 1) for p in "abc"])
    records = read(tmp_path)
    table = records.query("rollouts", ["response"], problem=["a", "b"], epoch=1)
    assert (table.column_names, table.num_rows) == (["response"], 2)
    assert records.query("rollouts", solved=False).num_rows == 0
    assert records.query("rollouts", reward=None, epoch=0).num_rows == 3


def test_what_there_is_not_is_said_in_one_line(tmp_path):
    records = read(tmp_path)
    with pytest.raises(UserError, match="no table templates; there are rollouts"):
        records.query("templates")
    with pytest.raises(UserError, match="rollouts has no column prompt"):
        records.query("rollouts", prompt="a")
    with pytest.raises(UserError, match="no such folder"):
        read(tmp_path / "nowhere")


def test_a_run_without_records_has_empty_tables(tmp_path):
    records = read(tmp_path)
    assert all(getattr(records, name)().num_rows == 0 for name in TABLES)
    assert [lives(records).num_rows, states(records).num_rows, epochs(records).num_rows] == [0] * 3
    assert records.notes == []


def test_a_part_that_is_cut_off_is_left_out_and_named(tmp_path):
    whole, cut = append(tmp_path, "rollouts", [ROW]), append(tmp_path, "rollouts", [ROW])
    cut.write_bytes(cut.read_bytes()[:-20])
    cut.with_name("part-000002.parquet.part").write_bytes(whole.read_bytes())
    records = read(tmp_path)
    assert records.rollouts().num_rows == 1
    [note] = records.notes
    assert note.startswith("rollouts/part-000001.parquet: left out")


def test_how_many_were_hard_is_not_known_of_an_epoch_whose_part_is_damaged(tmp_path):
    append(tmp_path, "rollouts", [{**ROW, "epoch": epoch} for epoch in (0, 1)])
    append(tmp_path, "hard", [{"epoch": 0, "problem": "a"}])
    damaged = append(tmp_path, "hard", [{"epoch": 1, "problem": "a"}])
    assert epochs(read(tmp_path))["hard"].to_pylist() == [1, 1]
    damaged.write_bytes(damaged.read_bytes()[:-20])
    assert epochs(read(tmp_path))["hard"].to_pylist() == [1, None]


def test_columns_of_another_version_are_null_and_unknown_ones_left_out(tmp_path):
    path = tmp_path / "records" / "rollouts" / "part-000000.parquet"
    path.parent.mkdir(parents=True)
    columns = {"problem": ["a"], "epoch": [3], "phase": ["training"], "mood": ["good"]}
    pq.write_table(pa.table(columns), path)
    records = read(tmp_path)
    [row] = records.rollouts().to_pylist()
    assert (row["problem"], row["epoch"], row["reward"]) == ("a", 3, None)
    assert "mood" not in row
    assert "another version" in records.notes[0]


def test_rows_that_lack_what_a_row_is_about_are_left_out_and_told(tmp_path):
    append(tmp_path, "hard", [{"epoch": 1, "problem": "a"}, {"epoch": None, "problem": "b"}])
    append(tmp_path, "hints", [{"hint": "1", "text": None}])
    path = tmp_path / "records" / "pool" / "part-000000.parquet"
    path.parent.mkdir()
    pq.write_table(pa.table({"problem": ["a", "b"]}), path)
    records = read(tmp_path)
    assert list(records.rows("hard", ["problem"])) == [("a",)]
    assert records.texts() == {"": ""}
    assert records.pool().num_rows == 0
    assert records.notes == [
        "hard: 1 rows left out, which lack a key",
        "hints: 1 rows left out, which lack a key",
        "pool: 2 rows left out, without epoch",
        "pool: of another version of p2o; some columns may be empty",
    ]


def test_a_row_with_a_column_that_a_table_lacks_is_refused(tmp_path):
    with pytest.raises(ValueError, match="rollouts has no column mood"):
        append(tmp_path, "rollouts", [{**ROW, "mood": "good"}])


def test_reading_does_not_load_torch():
    program = (
        "import sys, p2o.cli.show; sys.exit('torch' in sys.modules or 'lightning' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", program]).returncode == 0
