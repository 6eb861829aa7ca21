"""What servers do to connections; with real servers: ``tests/engines``."""

import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from p2o.errors import EngineError
from p2o.rollout.engine import SamplingParameters
from p2o.rollout.vllm_server import VLLMServers
from tests.patience import HANGS

ANSWERS = {
    "/v1/models": {"data": [{"id": "policy", "max_model_len": 64}]},
    "/init_weight_transfer_engine": {},
    "/v1/completions": {
        "choices": [
            {"token_ids": [5], "finish_reason": "stop", "logprobs": {"token_logprobs": [-1.0]}}
        ]
    },
}


class Impatient(ThreadingHTTPServer):
    """Closes a connection on which it has answered, rather than complete there."""

    daemon_threads = True

    def __init__(self):
        self.closed = []
        closed = self.closed

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            used = False

            def do_GET(self):
                self.rfile.read(int(self.headers.get("Content-Length", 0)))
                if self.used and self.path == "/v1/completions":
                    closed.append(self.client_address)
                    self.close_connection = True
                    return
                self.used = True
                content = json.dumps(ANSWERS[self.path]).encode()
                self.send_response(200)
                self.send_header("Content-Length", str(len(content)))
                self.end_headers()
                self.wfile.write(content)

            do_POST = do_GET

            def log_message(self, format, *arguments):
                pass

        super().__init__(("127.0.0.1", 0), Handler)


@pytest.fixture
def server():
    with Impatient() as server:
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        yield server
        server.shutdown()


def backend(server: Impatient) -> VLLMServers:
    url = f"http://127.0.0.1:{server.server_port}"
    return VLLMServers(ends=[2], urls=[url], folder=None, concurrency=4, seconds=HANGS)


def test_a_connection_that_closes_just_when_it_is_used_again_loses_no_server(server, caplog):
    completions = backend(server).sample([[1]] * 40, SamplingParameters(1), range(40))
    assert [completion.token_ids for completion in completions] == [(5,)] * 40
    assert server.closed
    assert not caplog.messages


def test_the_last_server_that_goes_is_named_with_its_fault(server):
    servers = backend(server)
    server.shutdown()
    server.server_close()
    with pytest.raises(EngineError, match=r"any more: http://127.0.0.1:\d+ \(ConnectError: .+\)"):
        servers.sample([[1]], SamplingParameters(1), [0])
