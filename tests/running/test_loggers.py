"""One history in ``metrics.csv``."""

import csv
import signal
import subprocess
import sys

import pytest

from p2o.running.loggers import MetricsTable


def table(folder):
    with (folder / "metrics.csv").open() as file:
        return [
            (int(row["step"]), {k: v for k, v in row.items() if v}) for row in csv.DictReader(file)
        ]


def log(folder, steps, name="loss"):
    logger = MetricsTable(folder, name="", version="", flush_logs_every_n_steps=1)
    for step in steps:
        logger.log_metrics({name: float(step)}, step)
    return logger


def test_rows_are_on_disk_at_once(tmp_path):
    log(tmp_path, range(3))
    assert [step for step, _ in table(tmp_path)] == [0, 1, 2]


@pytest.mark.parametrize("again", [0, 2, 4, 5])
def test_work_done_again_replaces_what_it_was(tmp_path, again):
    log(tmp_path, range(5))
    log(tmp_path, range(again, 7), name="other")
    rows = table(tmp_path)
    assert [step for step, _ in rows] == list(range(7))
    assert ["loss" in row for _, row in rows] == [step < again for step in range(7)]
    assert ["other" in row for _, row in rows] == [step >= again for step in range(7)]


@pytest.mark.parametrize("lost", [2, 3, 6])
def test_a_row_that_a_kill_cut_off_is_dropped_and_the_run_goes_on(tmp_path, lost):
    log(tmp_path, range(5))
    path = tmp_path / "metrics.csv"
    path.write_bytes(path.read_bytes()[:-lost])
    log(tmp_path, [5])
    assert [step for step, _ in table(tmp_path)] == [0, 1, 2, 3, 5]


@pytest.mark.parametrize(
    "content", [b"\xff\x00\x01 no table\n", b"a,b\n1,2\n", None], ids=["bytes", "other", "folder"]
)
def test_what_is_no_table_is_set_aside(tmp_path, content):
    path = tmp_path / "metrics.csv"
    path.mkdir() if content is None else path.write_bytes(content)
    log(tmp_path, [3])
    assert [step for step, _ in table(tmp_path)] == [3]
    assert (tmp_path / "metrics.csv.damaged").exists()


@pytest.mark.slow
def test_a_kill_while_a_column_is_added_leaves_the_table(tmp_path):
    log(tmp_path, range(3))
    program = f"""
import csv, os, signal
from p2o.running.loggers import MetricsTable
logger = MetricsTable({str(tmp_path)!r}, name="", version="", flush_logs_every_n_steps=1)
logger.log_metrics({{"loss": 3.0}}, 3)
csv.DictWriter.writerows = lambda *arguments: os.kill(os.getpid(), signal.SIGKILL)
logger.log_metrics({{"other": 4.0}}, 4)
"""
    done = subprocess.run([sys.executable, "-c", program])
    assert done.returncode == -signal.SIGKILL
    assert [step for step, _ in table(tmp_path)] == [0, 1, 2, 3]


def test_other_files_of_the_folder_stay(tmp_path):
    (tmp_path / "summary.json").write_text("{}")
    log(tmp_path, range(2))
    assert (tmp_path / "summary.json").read_text() == "{}"
