"""Against real servers that fail in their own ways."""

import json
import threading
import time
from collections import defaultdict
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from p2o.errors import EngineError, UserError
from p2o.prompt import Prompt
from p2o.verifiers import GuardedVerifier, Status
from p2o.verifiers.http_service import HttpService
from tests.servers import NO_JSON, SLOW, misbehaving, say

PROMPTS = [
    Prompt.create(
        [{"role": "user", "content": f"{n}?"}], f"{n}", [f"+{n}"], row=n, nan=float("nan")
    )
    for n in range(7)
]
ANSWERS = [str(n) for n in range(7)]
PATIENCE = defaultdict(lambda: 30.0, hang=1.0)
"""Seconds to wait; machines that run tests are busy."""


class Service:
    """A server on this machine; `behave` may answer in place of the right answer.

    It gives a status, or what to send, or None to go on; requests are counted.
    """

    def __init__(self):
        service = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self):
                request = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                with service.lock:
                    service.requests.append((dict(self.headers), request))
                    number = len(service.requests)
                answer = service.behave(number, request)
                if answer is None:
                    pairs = zip(request["responses"], request["prompts"], strict=True)
                    right = [r in [p["gold"], *p["alternatives"]] for r, p in pairs]
                    answer = json.dumps({"scores": [float(r) for r in right]})
                self.send_response(answer if isinstance(answer, int) else 200)
                self.end_headers()
                if isinstance(answer, str):
                    self.wfile.write(answer.encode())

            def log_message(self, format, *arguments):
                pass

        self.behave = lambda number, request: None
        self.requests, self.lock, self.over = [], threading.Lock(), threading.Event()
        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}/score"
        threading.Thread(target=self.server.serve_forever, args=(0.01,), daemon=True).start()

    def stop(self):
        self.over.set()
        self.server.shutdown()
        self.server.server_close()


@pytest.fixture
def service():
    service = Service()
    yield service
    service.stop()


def client(service, **more):
    quick = {"seconds": 30.0, "attempts": 3, "pause": 0.01, "batch": 3, "concurrency": 2}
    return HttpService(service.url, **{**quick, **more})


def test_batches_come_back_in_order_with_all_that_a_service_may_want(service):
    verifier = client(service, headers={"Authorization": "Bearer me"})
    scores = verifier.score([*ANSWERS[:4], "+4", "no", "6"], PROMPTS)
    assert [score.reward for score in scores] == [1, 1, 1, 1, 1, 0, 1]
    headers, request = max(service.requests, key=lambda one: len(one[1]["responses"]))
    assert headers["Authorization"] == "Bearer me"
    assert sorted(len(r["responses"]) for _, r in service.requests) == [0, 1, 3, 3]
    known = {"id", "question", "gold", "alternatives", "meta", "source"}
    assert set(request["prompts"][0]) == known


@pytest.mark.parametrize("failure", [500, 503, 429, "hang"])
def test_a_request_that_fails_is_tried_again(service, failure):
    def behave(number, request):
        if number in (2, 3):
            if failure != "hang":
                return failure
            service.over.wait(60)
        return None

    service.behave = behave
    scores = client(service, batch=7, seconds=PATIENCE[failure]).score(ANSWERS, PROMPTS)
    assert [score.reward for score in scores] == [1.0] * 7
    assert len(service.requests) == 4


@pytest.mark.parametrize(("failure", "status"), [(500, Status.ERROR), ("hang", Status.TIMEOUT)])
def test_a_batch_that_always_fails_costs_itself_only(service, failure, status):
    def behave(number, request):
        if "3" in request["responses"]:
            if failure != "hang":
                return failure
            service.over.wait(60)
        return None

    service.behave = behave
    scores = client(service, seconds=PATIENCE[failure], attempts=2).score(ANSWERS, PROMPTS)
    assert [score.reward for score in scores] == [1, 1, 1, 0, 0, 0, 1]
    assert {score.status for score in scores[3:6]} == {status}
    assert scores[3].detail


def test_bad_scores_cost_themselves_only(service):
    values = '[NaN, 1, null, "x", {"reward": 0.5, "answer": "a"}, {"reward": Infinity}, true]'
    service.behave = lambda number, r: f'{{"scores": {values}}}' if r["responses"] else None
    scores = client(service, batch=7).score(ANSWERS, PROMPTS)
    assert [score.reward for score in scores] == [0, 1, 0, 0, 0.5, 0, 1]
    assert [score.status for score in scores] == [
        *(Status.ERROR, Status.OK, Status.NO_ANSWER, Status.ERROR),
        *(Status.OK, Status.ERROR, Status.OK),
    ]


@pytest.mark.parametrize(
    ("answer", "says"),
    [
        ('{"scores": [1]}', "gave 1 scores for 7 responses"),
        ("<html>", "no JSON"),
        ('{"rewards": []}', "must be an object with scores"),
        ("[1]", "must be an object with scores"),
        ('{"scores": 7}', "must be an object with scores"),
        ("[" * 100_000, "recursion limit exceeded"),
        ('{"scores": [{"reward": 1, "answer": "\\ud800"}, 1, 1, 1, 1, 1, 1]}', "no JSON"),
    ],
    ids=["too few", "HTML", "other keys", "a list", "a number", "deep", "no Unicode"],
)
def test_an_answer_that_is_none_costs_its_batch_and_often_ends_the_run(service, answer, says):
    service.behave = lambda number, request: answer if "3" in request["responses"] else None
    verifier = client(service, batch=7)
    for score in verifier.score(ANSWERS, PROMPTS):
        assert (score.reward, score.status) == (0.0, Status.ERROR)
        assert says in score.detail
    assert [score.reward for score in verifier.score(["0", "1"], PROMPTS[:2])] == [1.0, 1.0]
    with pytest.raises(UserError, match=says):
        GuardedVerifier(verifier).score(ANSWERS * 4, PROMPTS * 4)


@pytest.mark.parametrize("status", [400, 401, 404])
def test_a_service_that_refuses_ends_the_run_at_once(service, status):
    service.behave = lambda number, request: status if request["responses"] else None
    with pytest.raises(UserError, match=f"verifier.url={service.url}: status {status}"):
        GuardedVerifier(client(service, batch=7)).score(ANSWERS, PROMPTS)
    assert len(service.requests) == 2


@pytest.mark.slow
@pytest.mark.parametrize("act", [*SLOW.values(), *NO_JSON.values()], ids=[*SLOW, *NO_JSON])
def test_whatever_a_service_does_a_batch_ends_in_time_and_in_one_line(act):
    def behave(connection, path, asked):
        if asked["responses"]:
            act(connection)
        else:
            say({"scores": []})(connection)

    with misbehaving(behave) as bad:
        verifier = HttpService(bad.url, seconds=0.5, attempts=2, pause=0.01)
        start = time.monotonic()
        scores = verifier.score(ANSWERS, PROMPTS)
        assert time.monotonic() - start < 20
    timeout = act in SLOW.values()
    assert {score.status for score in scores} == {Status.TIMEOUT if timeout else Status.ERROR}
    assert all(score.detail.isprintable() for score in scores)


def test_a_key_that_a_service_repeats_is_not_shown():
    echo = say(b"bad key k3y-of-mine, 'Bearer k3y-of-mine'", 401)
    headers = {"Authorization": "Bearer k3y-of-mine"}
    with misbehaving(lambda connection, path, asked: echo(connection)) as bad:
        with pytest.raises(UserError, match=r"bad key \*\*\*") as error:
            HttpService(bad.url, headers=headers)
        assert "k3y" not in str(error.value)


SCORES = [
    {"status": "error", "reward": 0, "detail": "bad key k3y-of-mine"},
    {"reward": 1, "answer": "k3y-of-mine", "detail": "Bearer k3y-of-mine"},
    {"x" * 60: "k3y-of-mine"},
    "k3y-of-mine",
]


@pytest.mark.parametrize("score", SCORES, ids=str)
def test_a_key_in_a_score_is_not_shown(score):
    def repeat(connection, path, asked):
        say({"scores": [score] * len(asked["responses"])})(connection)

    with misbehaving(repeat) as bad:
        headers = {"Authorization": "Bearer k3y-of-mine"}
        [given] = HttpService(bad.url, headers=headers).score(ANSWERS[:1], PROMPTS[:1])
    assert "k3y" not in f"{given.answer} {given.detail}"
    assert "***" in given.detail


HEADERS = [
    {"X-Key": "topsecret\nmore"},
    {"X-Key": "topsecr\u00e9t"},
    {"X-Key": " topsecret"},
    {"X Key": "topsecret"},
    {"X-K\u00e9y": "topsecret"},
]


@pytest.mark.parametrize("headers", HEADERS, ids=ascii)
def test_a_header_that_cannot_be_sent_is_refused_and_not_shown(headers):
    with pytest.raises(UserError, match=r"^headers\.'X.*do not belong into a header") as error:
        HttpService("http://127.0.0.1:9/score", headers=headers)
    assert "topsecr" not in str(error.value)


def test_numbers_that_are_no_float_and_answers_that_are_no_text_cost_themselves(service):
    scores = f'{{"scores": [1{"0" * 400}, {{"reward": 1, "answer": {{"x": [1]}}}}]}}'
    service.behave = lambda number, request: scores if request["responses"] else None
    first, second = client(service).score(ANSWERS[:2], PROMPTS[:2])
    assert first.status == Status.ERROR
    assert (second.reward, second.answer) == (1.0, "{'x': [1]}")


def test_a_service_that_goes_away_ends_the_run_which_can_go_on_later(service):
    guarded = GuardedVerifier(client(service))
    service.stop()
    with pytest.raises(EngineError, match=f"{service.url} cannot be reached"):
        guarded.score(ANSWERS, PROMPTS)


@pytest.mark.parametrize(
    "url",
    [
        "http://127.0.0.1:9/score",
        "127.0.0.1/score",
        "http://[bad",
        "http://127.0.0.1:99999/score",
        "http://host:0",
    ],
)
def test_a_service_that_is_not_there_is_found_out_at_the_start(url):
    with pytest.raises(UserError, match="^url="):
        HttpService(url, attempts=1)


def test_a_service_that_fails_at_the_start_is_refused(service):
    service.behave = lambda number, request: 500
    with pytest.raises(UserError, match=r"^url=.*: status 500"):
        client(service)


@pytest.mark.parametrize("name", ["batch", "concurrency", "seconds", "attempts", "pause"])
def test_numbers_must_be_positive(name):
    with pytest.raises(UserError, match=f"^{name}=0"):
        HttpService(**{"url": "http://127.0.0.1:9", name: 0})
