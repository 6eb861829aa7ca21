"""What servers do to requests; with real servers of vLLM's: ``tests/engines``."""

import time

import pytest
import torch

from p2o.errors import EngineError, UserError
from p2o.rollout import vllm_server
from p2o.rollout.engine import SamplingParameters
from p2o.rollout.vllm_server import VLLMServers
from tests.servers import BROKEN, NO_JSON, SLOW, answer, misbehaving, say

SEQUENCE = [1, 5, 7]


def good(connection, path, asked):
    """As a server of vLLM's, one token long."""
    choice = {"token_ids": [5], "finish_reason": "stop", "logprobs": {"token_logprobs": [-1.0]}}
    if asked and "prompt_logprobs" in asked:
        places = [{str(t): {"logprob": -2.0, "rank": 1}} for t in asked["prompt"][1:]]
        choice["prompt_logprobs"] = [None, *places]
    answers = {
        "/v1/models": {"data": [{"id": "policy", "max_model_len": 64}]},
        "/v1/completions": {"choices": [choice]},
    }
    answer(connection, answers.get(path, {}))


def failing(act, *paths, times=10**9):
    """A server that does something else for so many requests to these paths."""
    left = [times]

    def behave(connection, path, asked):
        if path in paths and left[0]:
            left[0] -= 1
            act(connection)
        else:
            good(connection, path, asked)

    return behave


COMPLETIONS = "/v1/completions"


@pytest.fixture(autouse=True)
def _quick(monkeypatch):
    monkeypatch.setattr(vllm_server, "PAUSE", 0.01)


def backend(*servers, seconds=30.0):
    urls = [server if isinstance(server, str) else server.url for server in servers]
    return VLLMServers([2], urls, None, concurrency=4, seconds=seconds, vocabulary=10)


def sample(servers, number=12):
    return servers.sample([[1]] * number, SamplingParameters(max_new_tokens=2), range(number))


def choice(**more):
    usual = {"token_ids": [5], "finish_reason": "stop", "logprobs": {"token_logprobs": [-1.0]}}
    return say({"choices": [{**usual, **more}]})


STRANGE = {
    "no choices": say({"choices": []}),
    "an error as an answer": say({"error": "busy"}),
    "a list": say([]),
    "no token ids": choice(token_ids=None),
    "no tokens": choice(token_ids=[], logprobs={"token_logprobs": []}),
    "more tokens than asked for": choice(
        token_ids=[5] * 3, logprobs={"token_logprobs": [-1.0] * 3}
    ),
    "token ids beyond the vocabulary": choice(token_ids=[10]),
    "negative token ids": choice(token_ids=[-1]),
    "text for token ids": choice(token_ids=["5"]),
    "no finish reason": choice(finish_reason=None),
    "an unknown finish reason": choice(finish_reason="abort"),
    "no log-probabilities": choice(logprobs=None),
    "too few log-probabilities": choice(logprobs={"token_logprobs": []}),
    "log-probabilities that are none": choice(logprobs={"token_logprobs": [None]}),
    "NaN": say(
        b'{"choices": [{"token_ids": [5], "finish_reason": "stop", '
        b'"logprobs": {"token_logprobs": [NaN]}}]}'
    ),
    "probabilities above one": choice(logprobs={"token_logprobs": [0.5]}),
    "infinite log-probabilities": say(
        b'{"choices": [{"token_ids": [5], "finish_reason": "stop", '
        b'"logprobs": {"token_logprobs": [-1e999]}}]}'
    ),
}
PASSING = {
    **BROKEN,
    **NO_JSON,
    **STRANGE,
    "429": say(b"", 429, Retry_After="0"),
    "500": say(b"", 500),
    "503": say(b"busy", 503),
}


@pytest.mark.slow
@pytest.mark.parametrize("act", PASSING.values(), ids=PASSING)
def test_what_goes_wrong_once_is_asked_again(act, caplog):
    with misbehaving(failing(act, COMPLETIONS, times=1)) as server:
        completions = sample(backend(server))
        assert [completion.token_ids for completion in completions] == [(5,)] * 12
        assert not caplog.messages


@pytest.mark.slow
@pytest.mark.parametrize("act", PASSING.values(), ids=PASSING)
def test_a_server_that_never_answers_as_it_should_is_left_out(act, caplog):
    with misbehaving(failing(act, COMPLETIONS)) as bad, misbehaving(good) as server:
        servers = backend(bad, server)
        assert len(sample(servers)) == 12
        assert [one.url for one in servers.servers] == [server.url]
    [warning] = caplog.messages
    assert warning.startswith(f"urls: {bad.url} does not answer as it should (")
    assert warning.isprintable()


@pytest.mark.slow
@pytest.mark.parametrize("act", PASSING.values(), ids=PASSING)
def test_where_none_is_left_the_run_ends_with_one_line_that_says_why(act):
    with misbehaving(failing(act, COMPLETIONS)) as bad:
        servers = backend(bad)
        with pytest.raises(EngineError, match=rf"answers any more: {bad.url} \(.+\)$") as ended:
            sample(servers)
        assert str(ended.value).isprintable()


@pytest.mark.parametrize("act", SLOW.values(), ids=SLOW)
def test_a_request_has_one_deadline(act):
    with misbehaving(failing(act, COMPLETIONS)) as bad:
        servers = backend(bad, seconds=0.5)
        start = time.monotonic()
        with pytest.raises(EngineError, match="no whole answer within"):
            sample(servers)
        assert time.monotonic() - start < 20


def test_a_request_that_is_refused_ends_the_run_at_once():
    with misbehaving(failing(say(b"too\nlong", 400), COMPLETIONS)) as bad:
        with pytest.raises(EngineError, match=f"^{bad.url} answered status 400: too long"):
            sample(backend(bad))
        assert len([path for path, *_ in bad.requests if path == COMPLETIONS]) <= 4


@pytest.mark.slow
@pytest.mark.parametrize("act", PASSING.values(), ids=PASSING)
def test_a_server_that_fails_while_the_probe_scores_is_left_out(act, caplog):
    with misbehaving(failing(act, COMPLETIONS)) as bad, misbehaving(good) as server:
        scored = backend(bad, server).score([SEQUENCE, SEQUENCE])
        assert torch.equal(scored, torch.full((1, 4), -2.0))
        assert len(caplog.messages) == 1
        with pytest.raises(EngineError, match="answers any more"):
            backend(bad).score([SEQUENCE])


PLACES = {
    "too few": [None, {"5": {"logprob": -1.0}}],
    "of other tokens": [None, {"6": {"logprob": -1.0}}, {"7": {"logprob": -1.0}}],
    "none": None,
    "no numbers": [None, {"5": {"logprob": None}}, {"7": {"logprob": -1.0}}],
}


@pytest.mark.parametrize("places", PLACES.values(), ids=PLACES)
def test_scores_that_are_none_are_not_taken(places):
    with (
        misbehaving(failing(choice(prompt_logprobs=places), COMPLETIONS)) as bad,
        pytest.raises(EngineError, match="answers any more"),
    ):
        backend(bad).score([SEQUENCE])


UPDATES = ["/start_weight_update", "/update_weights", "/finish_weight_update"]


@pytest.mark.parametrize("path", [*UPDATES, "/reset_prefix_cache"])
def test_a_server_that_does_not_take_weights_is_left_out(path, caplog):
    with (
        misbehaving(failing(say(b"no", 500), path)) as bad,
        misbehaving(failing(say(b"busy", 503), path, times=2)) as server,
    ):
        servers = backend(bad, server)
        servers.load([("weight", torch.ones(3))])
        assert [one.url for one in servers.servers] == [server.url]
        told = [told for told, *_ in server.requests]
        assert [told.count(one) for one in UPDATES] == [3 if one == path else 1 for one in UPDATES]
        assert not list(servers.folder.iterdir())


START = {
    "no server": None,
    "HTML": (NO_JSON["HTML"], "/v1/models"),
    "no models": (say({"data": []}), "/v1/models"),
    "a model without a length": (say({"data": [{"id": "x"}]}), "/v1/models"),
    "no way to give weights": (say(b"", 404), "/init_weight_transfer_engine"),
}


@pytest.mark.parametrize("fault", START.values(), ids=START)
def test_a_server_that_cannot_be_used_is_refused_at_the_start(fault):
    act, path = fault or (None, "")
    with misbehaving(failing(act, path)) as server:
        url = server.url if fault else "http://me:s3cret-word@127.0.0.1:9"
        with pytest.raises(UserError, match=r"urls: http.* start it with") as refused:
            backend(url)
    assert str(refused.value).isprintable()
    assert "s3cret" not in str(refused.value)


def test_the_last_server_that_goes_is_named_with_its_fault():
    with misbehaving(good) as server:
        servers = backend(server)
    server.server_close()
    with pytest.raises(EngineError, match=r"any more: http://127.0.0.1:\d+ \(ConnectError: .+\)"):
        sample(servers, 1)
