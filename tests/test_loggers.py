"""One history in ``metrics.csv``."""

import csv

import pytest

from p2o.loggers import MetricsTable


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


def test_other_files_of_the_folder_stay(tmp_path):
    (tmp_path / "summary.json").write_text("{}")
    log(tmp_path, range(2))
    assert (tmp_path / "summary.json").read_text() == "{}"
