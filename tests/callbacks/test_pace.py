import pytest

from p2o_callbacks.pace import Pace, duration


class Clock:
    """A clock that is set by hand."""

    def __init__(self):
        self.now = 0.0

    def __call__(self):
        return self.now


@pytest.fixture
def clock():
    return Clock()


def test_it_says_about_once_a_minute_how_much_is_done_and_how_long_the_rest_takes(clock):
    pace = Pace(10, clock=clock)
    assert pace.due(1) is None
    clock.now = 59.0
    assert pace.due(1) is None
    clock.now = 60.0
    assert pace.due(2) == "2 of 10 after 1:00, about 4:00 left"
    assert pace.due(3) is None
    clock.now = 130.0
    assert pace.due(4) == "4 of 10 after 2:10, about 3:15 left"


def test_before_the_first_piece_it_guesses_nothing(clock):
    pace = Pace(10, clock=clock)
    clock.now = 61.0
    assert pace.due(0) == "0 of 10 after 1:01"


def test_what_had_been_done_before_took_none_of_this_time(clock):
    pace = Pace(10, done=6, clock=clock)
    clock.now = 60.0
    assert pace.due(8) == "8 of 10 after 1:00, about 1:00 left"


def test_of_what_nobody_knows_the_end_it_says_how_much_is_done(clock):
    pace = Pace(None, clock=clock)
    clock.now = 60.0
    assert pace.due(2) == "2 after 1:00"


def test_at_the_end_nothing_is_left(clock):
    pace = Pace(4, clock=clock)
    clock.now = 90.0
    assert pace.due(4) == "4 of 4 after 1:30"


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0, "0:00"), (59.4, "0:59"), (59.6, "1:00"), (3599.9, "1:00:00"), (7265, "2:01:05")],
)
def test_durations_are_hours_minutes_and_seconds(seconds, text):
    assert duration(seconds) == text
