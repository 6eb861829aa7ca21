"""A request ends in time and in one line, whatever the server does."""

import asyncio
import signal
import time
from email.utils import formatdate

import pytest

from p2o.running.endpoint import Endpoint, Fault, Patience, RequestFailed, read_json, run
from tests.servers import BROKEN, NO_JSON, SLOW, answer, misbehaving, say

BRIEF = Patience(0.4, 10_000, attempts=1)


def ask(endpoint, patience=BRIEF, seconds=None, **more):
    async def work():
        until = {} if seconds is None else {"until": asyncio.get_running_loop().time() + seconds}
        async with endpoint.connect() as connection:
            return await connection.ask("/x", read_json, patience, **until, **more)

    return run(work)


def failure(endpoint, patience=BRIEF, **more) -> RequestFailed:
    with pytest.raises(RequestFailed) as failed:
        ask(endpoint, patience, **more)
    assert "\n" not in str(failed.value)
    assert str(failed.value).isprintable()
    return failed.value


FAULTS = {
    **dict.fromkeys(SLOW.values(), Fault.TIMEOUT),
    **dict.fromkeys(BROKEN.values(), Fault.UNREACHABLE),
    **dict.fromkeys(NO_JSON.values(), Fault.UNUSABLE),
    say(b"x", 429): Fault.BUSY,
    say(b"x", 503): Fault.BUSY,
    say(b"x", 404): Fault.REFUSED,
    say(b"x", 302): Fault.REFUSED,
}
NAMES = [*SLOW, *BROKEN, *NO_JSON, "429", "503", "404", "302"]


@pytest.mark.parametrize(("act", "fault"), FAULTS.items(), ids=NAMES)
def test_every_misbehaviour_is_one_fault_within_the_deadline(act, fault):
    with misbehaving(lambda connection, path, asked: act(connection)) as server:
        start = time.monotonic()
        failed = failure(Endpoint(server.url))
        # Thirty seconds is what the slow ones take.
        assert time.monotonic() - start < 10
        assert failed.fault == fault


@pytest.mark.slow
@pytest.mark.parametrize("fault", ["trickled body", "silence"])
def test_the_time_for_all_attempts_is_kept_too(fault):
    with misbehaving(lambda connection, path, asked: SLOW[fault](connection)) as server:
        start = time.monotonic()
        many = Patience(0.3, 100, attempts=1000, pause=0.01)
        assert failure(Endpoint(server.url), many, seconds=3.0).fault == Fault.TIMEOUT
        # A thousand attempts would take five minutes.
        assert time.monotonic() - start < 100
        assert len(server.requests) > 1


def after(first, *rest):
    acts = iter([first, *rest])
    return lambda connection, path, asked: next(acts)(connection)


@pytest.mark.parametrize("act", [*BROKEN.values(), say(b"", 408), say(b"", 429), say(b"", 500)])
def test_what_passes_is_asked_again(act):
    with misbehaving(after(act, act, say({"x": 1}))) as server:
        assert ask(Endpoint(server.url), Patience(30.0, 1000, 3, 0.01)) == {"x": 1}
        assert len(server.requests) == 3


@pytest.mark.parametrize("act", [say(b"", 400), say(b"", 401), say(b"<html>")])
def test_what_stays_is_not_asked_again(act):
    with misbehaving(after(act, say({"x": 1}))) as server:
        failure(Endpoint(server.url), Patience(30.0, 1000, 3, 0.01))
        assert len(server.requests) == 1


@pytest.mark.parametrize("asked", ["86400", "9" * 400, lambda: formatdate(time.time() + 9e4)])
def test_a_pause_that_takes_too_long_is_not_waited_for(asked):
    value = asked() if callable(asked) else asked
    with misbehaving(lambda c, p, a: answer(c, b"later", 429, Retry_After=value)) as server:
        start = time.monotonic()
        patient = Patience(60.0, 1000, attempts=5)
        failed = failure(Endpoint(server.url), patient, seconds=60.0)
        assert time.monotonic() - start < 10
        assert failed.fault == Fault.BUSY
        assert len(server.requests) == 1
        assert "asks to come back in" in str(failed)


def test_the_longest_pause_that_may_be_asked_for_is_kept():
    act = say(b"later", 503, Retry_After="86400")
    with misbehaving(after(act, say({}))) as server:
        ask(Endpoint(server.url), Patience(30.0, 1000, 2, 0.01, longest_asked=0.05))
        assert len(server.requests) == 2


@pytest.mark.parametrize(
    ("headers", "user"),
    [
        ({"Authorization": "Bearer k3y-of-mine"}, ""),
        ({"X-Token": "k3y-of-mine"}, ""),
        ({}, "me:k3y-of-mine@"),
    ],
)
def test_what_a_server_repeats_is_shown_without_the_key(headers, user):
    def echo(connection, path, asked):
        _, sent, _ = server.requests[-1]
        answer(connection, f"bad key\x1b[2J\n k3y-of-mine {sent}".encode(), 401)

    with misbehaving(echo) as server:
        endpoint = Endpoint(server.url.replace("://", f"://{user}"), headers)
        failed = failure(endpoint)
        assert "bad key" in str(failed)
        for text in (str(failed), endpoint.name):
            assert "k3y-of-mine" not in text
            # User and password in base 64.
            assert "bWU6" not in text


def test_the_loop_of_a_caller_is_no_hindrance():
    async def caller():
        with misbehaving(lambda c, p, a: answer(c, {"x": 2})) as server:
            return ask(Endpoint(server.url), Patience(30.0, 100))

    assert asyncio.run(caller()) == {"x": 2}


def test_text_that_is_no_unicode_is_sent_for_the_server_to_judge():
    with misbehaving(lambda c, p, a: answer(c, {"x": 3})) as server:
        sent = {"text": "\ud800", "nan": float("nan")}
        assert ask(Endpoint(server.url), Patience(30.0, 100), content=sent) == {"x": 3}
        assert server.requests[0][2]["text"] == "\ud800"


def test_a_signal_that_raises_ends_the_waiting():
    class Stopped(Exception):
        pass

    def stop(number, frame):
        raise Stopped

    before = signal.signal(signal.SIGALRM, stop)
    with misbehaving(lambda connection, path, asked: SLOW["silence"](connection)) as server:
        start = time.monotonic()
        signal.setitimer(signal.ITIMER_REAL, 0.3)
        with pytest.raises(Stopped):
            ask(Endpoint(server.url), Patience(60.0, 100))
        assert time.monotonic() - start < 10
    signal.signal(signal.SIGALRM, before)
