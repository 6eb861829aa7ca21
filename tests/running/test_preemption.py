"""Signals: what they stop, and what they do not."""

import os
import signal
import threading

import pytest

from p2o.running import preemption
from p2o.running.preemption import Preempted, handled_signals, hold_signals, stop_if_told


def test_what_comes_after_the_end_of_a_run_is_not_stopped_by_its_signal(monkeypatch):
    given_up = threading.Event()
    monkeypatch.setattr(preemption, "GRACE_SECONDS", 0.3)
    monkeypatch.setattr(preemption, "_give_up", lambda number: given_up.set())
    with handled_signals():
        hold_signals()
        os.kill(os.getpid(), signal.SIGTERM)
    assert not given_up.wait(1.0)


def test_a_run_that_does_not_end_in_time_is_given_up(monkeypatch):
    given_up = threading.Event()
    monkeypatch.setattr(preemption, "GRACE_SECONDS", 0.1)
    monkeypatch.setattr(preemption, "_give_up", lambda number: given_up.set())
    with handled_signals():
        hold_signals()
        os.kill(os.getpid(), signal.SIGTERM)
        assert given_up.wait(60)


def test_who_asks_after_a_signal_is_stopped():
    with handled_signals():
        hold_signals()
        stop_if_told()
        os.kill(os.getpid(), signal.SIGTERM)
        with pytest.raises(Preempted, match="SIGTERM"):
            stop_if_told()


def end(number: int, *, held: bool) -> None:
    """A run that a signal reaches, and that fails while it cleans up."""
    with handled_signals():
        if held:
            hold_signals()
        try:
            os.kill(os.getpid(), number)
        finally:
            {}["cleaned up"]


def test_what_fails_as_it_is_broken_off_is_stopped_and_does_not_fail():
    with pytest.raises(Preempted, match="Ctrl-C"):
        end(signal.SIGINT, held=False)


def test_what_fails_after_a_signal_that_did_not_break_it_off_fails():
    with pytest.raises(KeyError):
        end(signal.SIGTERM, held=True)
