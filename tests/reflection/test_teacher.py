import json
import logging
import socket
import threading
import time
from email.utils import formatdate
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
from omegaconf import OmegaConf

from p2o.accounting.ledger import Ledger, MeteredReflection
from p2o.configuration.build import build
from p2o.errors import UserError
from p2o.reflection import ReflectionRequest, TeacherReflection, teacher
from p2o_callbacks import Exchange
from tests.servers import BROKEN, NO_JSON, SLOW, misbehaving

pytestmark = pytest.mark.slow

KEY = "sk-very-secret-8731"
RECORDS = [{"Inputs": "1 + 1 ?", "Generated Outputs": "3", "Feedback": "Wrong.", "score": 0.0}]


class Server:
    """An endpoint on loopback; `answer` maps a chat payload to (status, headers, body)."""

    def __init__(self):
        self.models_status = 200
        self.answer: Any = lambda payload: completion(f"```\ntemplate {payload['seed']}\n```")
        self.payloads, self.times, self.keys = [], [], []
        outer = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self):
                outer.keys.append(self.headers.get("Authorization"))
                assert self.path == "/v1/models"
                self.send(outer.models_status, {}, {"data": []})

            def do_POST(self):
                payload = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                assert self.path == "/v1/chat/completions"
                outer.times.append(time.monotonic())
                outer.payloads.append(payload)
                outer.keys.append(self.headers.get("Authorization"))
                self.send(*outer.answer(payload))

            def send(self, status, headers, body):
                data = body if isinstance(body, bytes) else json.dumps(body).encode()
                self.send_response(status)
                for name, value in headers.items():
                    self.send_header(name, value)
                self.send_header("Content-Length", str(len(data)))
                self.end_headers()
                self.wfile.write(data)

            def log_message(self, format, *args):
                pass

        self.http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        # A client that gave up breaks the pipe; that is no news.
        self.http.handle_error = lambda request, client_address: None
        self.url = f"http://127.0.0.1:{self.http.server_port}/v1"

    def script(self, *answers):
        """Give these answers one after the other."""
        rest = iter(answers)
        self.answer = lambda payload: next(rest)


def completion(text):
    return 200, {}, {"choices": [{"message": {"role": "assistant", "content": text}}]}


@pytest.fixture
def server():
    served = Server()
    thread = threading.Thread(target=served.http.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    yield served
    served.http.shutdown()
    served.http.server_close()
    thread.join()


@pytest.fixture(autouse=True)
def _environment(monkeypatch):
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    monkeypatch.setattr(teacher, "FIRST_PAUSE", 0.01)


@pytest.fixture
def warnings_of(caplog):
    """The warnings so far."""
    caplog.set_level(logging.DEBUG)
    yield lambda: [r.getMessage() for r in caplog.records if r.levelno >= logging.WARNING]
    assert KEY not in caplog.text


def requests(*seeds):
    return [ReflectionRequest("Parent.", RECORDS, seed) for seed in seeds]


def bind(reflection):
    engine: Any = None
    reflection.bind(engine, engine)


def test_one_template_for_each_request_in_order(server, warnings_of):
    reflection = TeacherReflection(server.url, "big", temperature=0.5, max_tokens=99)
    bind(reflection)
    assert reflection.reflect(requests(3, 1, 2)) == ["template 3", "template 1", "template 2"]
    payload = next(p for p in server.payloads if p["seed"] == 3)
    assert payload["model"] == "big"
    assert payload["temperature"] == 0.5
    assert payload["max_tokens"] == 99
    (message,) = payload["messages"]
    assert message["role"] == "user"
    assert "Parent." in message["content"]
    assert set(server.keys) == {f"Bearer {KEY}"}
    assert not warnings_of()


def test_tokens_that_the_server_tells_of_are_counted_also_of_useless_answers(server):
    def spent(text, usage):
        status, headers, body = completion(text)
        return status, headers, {**body, "usage": usage}

    server.script(
        spent("```\nyes\n```", {"completion_tokens": 7}),
        spent("", {"completion_tokens": 5}),
        spent("```\nyes\n```", {"completion_tokens": "many"}),
        completion("```\nyes\n```"),
    )
    ledger = Ledger()
    metered = MeteredReflection(TeacherReflection(server.url, "big", concurrency=1), ledger)
    assert metered.reflect(requests(1, 2, 3, 4)) == ["yes", None, "yes", "yes"]
    counted = ledger.state_dict()["evolution"]
    assert (counted["reflection_calls"], counted["reflection_tokens"]) == (4, 12)


@pytest.mark.parametrize("told", [-(10**30), -1, 10**30, True, 1e30, "7", None])
def test_a_number_of_tokens_that_cannot_be_is_not_counted(server, told):
    status, headers, body = completion("```\nyes\n```")
    server.script((status, headers, {**body, "usage": {"completion_tokens": told}}))
    reflection = TeacherReflection(server.url, "big")
    bind(reflection)
    assert reflection.reflect(requests(1)) == ["yes"]
    assert reflection.tokens == 0


@pytest.mark.parametrize("seconds", [-1, 0, float("nan")])
def test_no_time_for_a_batch_is_refused(seconds):
    part = {"_target_": "p2o.reflection.TeacherReflection", "base_url": "http://h", "model": "x"}
    node = OmegaConf.create({**part, "batch_seconds": seconds})
    with pytest.raises(UserError, match=r"reflection.batch_seconds=.*: give a number above 0"):
        build(node, "reflection")


def test_requests_are_under_way_together(server):
    together = threading.Barrier(8)

    def wait(payload):
        together.wait(timeout=5)
        return completion(f"{payload['seed']}")

    server.answer = wait
    reflection = TeacherReflection(server.url, "big", concurrency=8, attempts=1)
    assert reflection.reflect(requests(*range(16))) == [str(seed) for seed in range(16)]


def test_concurrency_is_a_limit(server):
    lock, now, most = threading.Lock(), 0, 0

    def count(payload):
        nonlocal now, most
        with lock:
            now += 1
            most = max(most, now)
        time.sleep(0.02)
        with lock:
            now -= 1
        return completion("yes")

    server.answer = count
    TeacherReflection(server.url, "big", concurrency=2).reflect(requests(*range(8)))
    assert most == 2


def test_seeds_fit_servers_with_32_bit_seeds(server):
    TeacherReflection(server.url, "big").reflect(requests(2**62 + 5))
    assert server.payloads[0]["seed"] == 5


def test_reasoning_is_left_out(server):
    server.script(completion("<think>```\nno\n```</think>\n```\nyes\n```"))
    assert TeacherReflection(server.url, "big").reflect(requests(1)) == ["yes"]


@pytest.mark.parametrize("status", [408, 409, 429, 500, 503])
def test_a_passing_failure_is_tried_again(server, warnings_of, status):
    server.script((status, {}, b"busy"), (status, {}, b"busy"), completion("yes"))
    assert TeacherReflection(server.url, "big").reflect(requests(1)) == ["yes"]
    assert len(server.payloads) == 3
    assert not warnings_of()


@pytest.mark.parametrize(
    ("value", "pause"),
    [
        ("1", 1.0),
        (lambda: formatdate(time.time() + 2.5, usegmt=True), 1.0),
        ("soon", 0.0),
        ("Mon, 01 Jan 0001 00:00:00 -0000", 0.0),
    ],
)
def test_retry_after_is_honoured(server, value, pause):
    header = value() if callable(value) else value
    server.script((429, {"Retry-After": header}, b"slow down"), completion("yes"))
    assert TeacherReflection(server.url, "big").reflect(requests(1)) == ["yes"]
    first, second = server.times
    assert pause <= second - first < pause + 2.0


def test_a_pause_longer_than_the_batch_has_is_not_waited_for(server, warnings_of):
    server.answer = lambda payload: (429, {"Retry-After": "86400"}, b"quota")
    start = time.monotonic()
    assert TeacherReflection(server.url, "big").reflect(requests(1, 2)) == [None, None]
    assert time.monotonic() - start < 30
    assert len(server.payloads) == 2
    assert warnings_of() == [
        "2 of 2 reflections failed: status 429, asks to come back in 86400 seconds: quota"
    ]


def test_the_time_of_a_batch_is_limited_and_what_is_there_by_then_counts(server, warnings_of):
    over = threading.Event()

    def answer(payload):
        if payload["seed"] != 1:
            over.wait(30)
        return completion("yes")

    server.answer = answer
    reflection = TeacherReflection(server.url, "big", concurrency=2, batch_seconds=1.0)
    start = time.monotonic()
    assert reflection.reflect(requests(1, 2, 3, 4)) == ["yes", None, None, None]
    assert time.monotonic() - start < 20
    over.set()
    assert sum(int(text.split()[0]) for text in warnings_of()) == 3


@pytest.mark.parametrize("act", [*SLOW.values(), *BROKEN.values(), *NO_JSON.values()])
def test_whatever_a_server_does_is_one_failed_reflection(act, warnings_of):
    with misbehaving(lambda connection, path, asked: act(connection)) as bad:
        reflection = TeacherReflection(f"{bad.url}/v1", "big", seconds=0.3, attempts=2)
        start = time.monotonic()
        assert reflection.reflect(requests(1)) == [None]
        assert time.monotonic() - start < 20
    [warning] = warnings_of()
    assert "\n" not in warning


def test_a_password_in_the_address_is_not_shown(unused_port):
    with pytest.raises(UserError, match=r"^base_url=http://\*\*\*@127") as error:
        bind(TeacherReflection(f"http://me:s3cret-word@127.0.0.1:{unused_port}/v1", "big"))
    assert "s3cret-word" not in str(error.value)


def test_an_answer_that_is_too_large_is_given_up(server, warnings_of):
    server.answer = lambda payload: completion("x" * 5_000_000)
    assert TeacherReflection(server.url, "big").reflect(requests(1)) == [None]
    assert "an answer of more than 4,194,304 bytes" in warnings_of()[0]


def test_attempts_are_limited(server, warnings_of):
    server.answer = lambda payload: (500, {}, b"broken")
    assert TeacherReflection(server.url, "big", attempts=3).reflect(requests(1)) == [None]
    assert len(server.payloads) == 3
    (warning,) = warnings_of()
    assert "500: broken" in warning


@pytest.mark.parametrize("status", [400, 401, 404, 422])
def test_a_lasting_failure_is_none_at_once(server, warnings_of, status):
    def answer(payload):
        if payload["seed"] == 2:
            return status, {}, f"bad\n request with {KEY}".encode()
        return completion("yes")

    server.answer = answer
    assert TeacherReflection(server.url, "big").reflect(requests(1, 2, 3)) == ["yes", None, "yes"]
    assert len(server.payloads) == 3
    (warning,) = warnings_of()
    assert f"{status}: bad request with ***" in warning


@pytest.mark.parametrize(
    "answer",
    [
        completion(None),
        completion("<think>out of tokens"),
        completion("```\n```"),
        completion("```\nGo slowly, and"),
        (200, {}, {"choices": [{"message": {"content": "Go"}, "finish_reason": "length"}]}),
        (200, {}, {"choices": ["text"]}),
        (200, {}, {"error": "no"}),
        (200, {}, {"choices": []}),
        (200, {}, [1]),
        (200, {}, b"<html>\xff</html>"),
    ],
)
def test_an_answer_without_a_template_is_none(server, warnings_of, answer):
    server.script(answer)
    assert TeacherReflection(server.url, "big").reflect(requests(1)) == [None]
    assert len(warnings_of()) == 1


def test_a_server_that_hangs_is_given_up(server, warnings_of):
    done = threading.Event()

    def hang(payload):
        done.wait(timeout=5)
        return completion("late")

    server.answer = hang
    reflection = TeacherReflection(server.url, "big", seconds=0.1, attempts=2)
    assert reflection.reflect(requests(1)) == [None]
    done.set()
    (warning,) = warnings_of()
    assert "no whole answer within 0.1 seconds" in warning


def test_a_server_gone_after_bind_is_warned_of_but_no_error(server, warnings_of):
    reflection = TeacherReflection(server.url, "big", attempts=2)
    bind(reflection)
    server.http.shutdown()
    server.http.server_close()
    assert reflection.reflect(requests(1, 2)) == [None, None]
    assert [text[:27] for text in warnings_of()] == ["2 of 2 reflections failed: "]
    assert reflection.reflect(requests(3)) == [None]
    assert len(warnings_of()) == 3
    assert "last two batches" in warnings_of()[-1]
    assert reflection.reflect(requests(4)) == [None]
    assert len(warnings_of()) == 4
    assert reflection.reflect([]) == []


def test_a_success_between_failed_batches_starts_the_count_anew(server, warnings_of):
    bad = (400, {}, b"no")
    server.script(bad, completion("yes"), bad, bad)
    reflection = TeacherReflection(server.url, "big")
    results = [reflection.reflect(requests(seed))[0] for seed in range(4)]
    assert results == [None, "yes", None, None]
    assert ["last two batches" in text for text in warnings_of()] == [False, False, False, True]


def test_bind_needs_an_answer(unused_port):
    with pytest.raises(UserError, match=r"^base_url=http://127.*ConnectError"):
        bind(TeacherReflection(f"http://127.0.0.1:{unused_port}/v1", "big"))


@pytest.mark.parametrize("url", ["", "host/v1", "http://[bad/v1", "http://host:port/v1"])
def test_bind_needs_an_address(url):
    with pytest.raises(UserError, match=r"^base_url="):
        bind(TeacherReflection(url, "big"))


@pytest.mark.parametrize("status", [401, 403])
def test_bind_needs_a_key_that_is_accepted(server, status):
    server.models_status = status
    with pytest.raises(UserError, match="OPENAI_API_KEY is set but not accepted") as error:
        bind(TeacherReflection(server.url, "big"))
    assert KEY not in str(error.value)
    with pytest.raises(UserError, match="variable OTHER_KEY is not set"):
        bind(TeacherReflection(server.url, "big", api_key_variable="OTHER_KEY"))


def test_bind_refuses_a_key_that_no_header_takes(server, monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", f"{KEY}\nmore")
    with pytest.raises(UserError, match="OPENAI_API_KEY") as error:
        bind(TeacherReflection(server.url, "big"))
    assert KEY not in str(error.value)


@pytest.mark.parametrize(("status", "count"), [(404, 0), (200, 0), (500, 1)])
def test_bind_goes_on_where_models_are_not_listed(server, warnings_of, status, count):
    server.models_status = status
    bind(TeacherReflection(server.url, "big"))
    assert len(warnings_of()) == count


def test_no_key_is_sent_when_there_is_none(server):
    reflection = TeacherReflection(server.url, "big", api_key_variable="OTHER_KEY")
    bind(reflection)
    reflection.reflect(requests(1))
    assert server.keys == [None, None]


@pytest.mark.parametrize("name", ["attempts", "concurrency"])
def test_counts_below_one_are_refused(name):
    counts: dict[str, Any] = {name: 0}
    with pytest.raises(UserError, match=rf"^{name}=0"):
        TeacherReflection("http://host/v1", "big", **counts)


@pytest.fixture
def unused_port():
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        yield taken.getsockname()[1]


def test_what_was_asked_and_answered_is_kept_word_for_word(server):
    cut: Any = completion("```\ncut")[2]
    cut["choices"][0]["finish_reason"] = "length"
    server.script(
        completion("Sure.\n```\nyes\n```"), completion("```"), (200, {}, cut), (400, {}, {})
    )
    reflection = TeacherReflection(server.url, "big", concurrency=1)
    assert reflection.reflect(requests(1, 2, 3, 4)) == ["yes", None, None, None]
    asked = server.payloads[0]["messages"][0]["content"]
    assert reflection.exchanges == [
        Exchange(asked, "Sure.\n```\nyes\n```"),
        Exchange(asked, "```"),
        Exchange(asked, "```\ncut", cut_off=True),
        Exchange(asked, ""),
    ]
