import io

import pytest
from rich.console import Console
from rich.progress import Progress

from p2o.running import counted as module
from p2o.running.counted import advance, begin, counted, told_if_slow
from p2o_callbacks.pace import Pace


@pytest.fixture
def minutes(monkeypatch):
    """Every look at the clock is a minute later."""
    times = iter(range(0, 6000, 60))
    monkeypatch.setattr(module, "Pace", lambda total: Pace(total, clock=lambda: next(times)))


def test_work_says_that_it_begins_and_then_how_far_it_is(capsys, minutes):
    with counted("responses", 8, announced=True):
        advance(2)
        advance()
        advance(6)
    assert capsys.readouterr().err.splitlines() == [
        "start: 8 responses",
        "  responses: 2 of 8 after 1:00, about 3:00 left",
        "  responses: 2 of 8 after 2:00, about 6:00 left",
        "  responses: 8 of 8 after 3:00",
    ]


def test_a_live_display_says_it_in_its_place(capsys):
    terminal = io.StringIO()
    display = Progress(console=Console(file=terminal, force_terminal=True))
    with display, counted("responses", 8, announced=True):
        advance(8)
    assert "start" not in terminal.getvalue() + capsys.readouterr().err
    begin("loading a model")
    assert capsys.readouterr().err == "start: loading a model\n"


def test_short_work_and_work_that_nobody_named_is_silent(capsys):
    advance(5)
    with counted("rollouts", 2):
        advance(2)
    advance(5)
    assert capsys.readouterr().err == ""


def test_a_piece_of_more_than_one_part_is_no_more_than_a_piece(capsys, minutes):
    with counted("rollouts", 3):
        advance(5)
    assert capsys.readouterr().err == "  rollouts: 3 of 3 after 1:00\n"


def test_when_it_fails_what_comes_next_is_not_counted_for_it(capsys, minutes):
    def fail():
        with counted("rollouts", 3):
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fail()
    advance(1)
    assert capsys.readouterr().err == ""


def test_what_is_slow_says_that_it_has_begun_and_what_is_quick_does_not(capsys):
    with told_if_slow("loading a model", seconds=60):
        pass
    assert capsys.readouterr().err == ""
    said = ""
    with told_if_slow("loading a model", seconds=0):
        while not said:
            said = capsys.readouterr().err
    assert said == "start: loading a model\n"
