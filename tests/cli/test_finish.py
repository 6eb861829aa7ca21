"""What a training leaves behind, and in which order."""

import logging
from types import SimpleNamespace
from typing import Any

import pytest
from hydra.types import RunMode
from lightning.pytorch.loggers import WandbLogger

from p2o.cli import finish
from p2o.errors import UserError


class Offline(WandbLogger):
    """One that has no run of wandb."""

    def __init__(self):
        pass

    @property
    def experiment(self):
        return SimpleNamespace(id="x")


@pytest.fixture
def done(monkeypatch):
    """What is done at the end of a run, in its order."""
    done: list[str] = []
    mode = SimpleNamespace(mode=RunMode.RUN)
    monkeypatch.setattr(finish, "HydraConfig", SimpleNamespace(get=lambda: mode))
    for name in ("write_summary", "print_report", "print_ways_on"):
        monkeypatch.setattr(finish, name, lambda *_, name=name: done.append(name))
    return done


def tell(folder, *, rank_zero=True):
    trainer = SimpleNamespace(is_global_zero=rank_zero, loggers=[Offline()])
    training: Any = SimpleNamespace(
        trainer=trainer, callbacks=[], data=None, final=SimpleNamespace(trained=True)
    )
    finish.tell({}, training, folder, None)  # type: ignore[arg-type]


def test_a_run_has_its_summary_before_others_are_given_what_is_on_record(
    tmp_path, monkeypatch, done
):
    monkeypatch.setattr(finish, "upload", lambda *_: done.append("upload"))
    tell(tmp_path)
    assert done == ["write_summary", "print_report", "print_ways_on", "upload"]
    done.clear()
    tell(tmp_path, rank_zero=False)
    assert done == ["write_summary"]


def test_a_run_whose_records_are_not_taken_has_ended_and_says_so_in_one_line(
    tmp_path, monkeypatch, done, caplog
):
    def refuse(*_):
        raise UserError("run: Weights & Biases did not take its tables (https://me:mine@there)")

    monkeypatch.setattr(finish, "upload", refuse)
    with caplog.at_level(logging.WARNING):
        tell(tmp_path)
    assert done[0] == "write_summary"
    [line] = [record.getMessage() for record in caplog.records]
    assert line.startswith("run: Weights & Biases did not take its tables (https://***@there)")
    assert line.endswith("all of it is in the run's folder")
