r"""vLLM in processes of its own, on this node or others, over HTTP.

A server has to be told where weights will come from, and that it may be told so over HTTP::

    VLLM_SERVER_DEV_MODE=1 vllm serve MODEL --weight-transfer-config '{"backend": "p2o_files"}' \
        --logprobs-mode processed_logprobs

It loads p2o's transfer by itself where p2o is installed beside it.
"""

import logging
import queue
import tempfile
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import httpx
import torch
from safetensors.torch import save_file
from torch import Tensor
from transformers import PreTrainedModel

from p2o.distributed import on_rank_zero
from p2o.errors import EngineError, UserError
from p2o.hints import Count, Positive
from p2o.rollout.engine import Completion, SamplingParameters
from p2o.rollout.hf import end_ids
from p2o.rollout.pushed import PushedEngine

logger = logging.getLogger(__name__)

PART_BYTES = 2**30
"""Weights go over in parts of about this size."""
PREFLIGHT_SECONDS = 10.0


def vllm_server_engine(
    model: PreTrainedModel,
    urls: Sequence[str],
    folder: str | None = None,
    concurrency: Count = 128,
    seconds: Positive = 1800.0,
    probe_bound: Positive = 0.1,
) -> PushedEngine:
    """The engine of ``rollout=vllm_server``.

    Args:
        model: The policy.
        urls: Addresses of servers, such as ``http://node7:8000``; requests go to whichever is free.
        folder: Where weights are left for the servers; they have to see it under the same path.
            None for a temporary folder, which does for servers on this machine.
        concurrency: Requests under way at once at each server, from each rank.
        seconds: Time limit for a request.
        probe_bound: See `p2o.rollout.probe.WeightProbe`.

    Raises:
        UserError: A server does not answer, or cannot be given weights.
    """
    if not urls:
        raise UserError("urls: give the address of at least one server")
    backend = VLLMServers(end_ids(model), list(urls), folder, concurrency, seconds)
    return PushedEngine(backend, model, probe_bound)


class VLLMServers:
    """Servers that share the work. One that fails is left out; the others take over.

    Args: see `vllm_server_engine`.
    """

    def __init__(
        self, ends: list[int], urls: list[str], folder: str | None, concurrency: int, seconds: float
    ) -> None:
        self.version = ""
        self.ends, self.concurrency = ends, concurrency
        self.folder = Path(folder or tempfile.mkdtemp(prefix="p2o-weights-"))
        limits = httpx.Limits(max_connections=concurrency + 1)
        self.servers = [
            httpx.Client(base_url=url.rstrip("/"), timeout=seconds, limits=limits) for url in urls
        ]
        models = [_preflight(server) for server in self.servers]
        self.models = {
            server: model["id"] for server, model in zip(self.servers, models, strict=True)
        }
        self.max_length = min(model["max_model_len"] for model in models)
        self.lost: list[str] = []

    def load(self, weights: Iterable[tuple[str, Tensor]]) -> None:
        """See `Backend`; rank 0 writes and tells the servers, and all ranks wait for it."""
        on_rank_zero(lambda: self._each(lambda server: _post(server, "/start_weight_update")))
        # Every rank goes through all parts: shards are put together on the way.
        for number, part in enumerate(_parts(weights)):
            on_rank_zero(partial(self._load_part, number, part))
        on_rank_zero(self._finish)

    def _load_part(self, number: int, part: dict[str, Tensor]) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        path = self.folder / f"part_{number}.safetensors"
        save_file(part, path)
        update = {"update_info": {"path": str(path)}}
        self._each(lambda server: _post(server, "/update_weights", update))
        path.unlink()

    def _finish(self) -> None:
        for path in ("/finish_weight_update", "/reset_prefix_cache"):
            self._each(lambda server, path=path: _post(server, path))

    def sample(
        self,
        prompts: Sequence[Sequence[int]],
        sampling: SamplingParameters,
        seeds: Sequence[int],
    ) -> list[Completion]:
        """See `Backend`."""
        requests = [
            {
                "prompt": list(prompt),
                "max_tokens": sampling.max_new_tokens,
                "temperature": sampling.temperature,
                "top_p": sampling.top_p,
                "top_k": sampling.top_k or -1,
                "seed": seed,
                "stop_token_ids": self.ends,
                "logprobs": 0,
            }
            for prompt, seed in zip(prompts, seeds, strict=True)
        ]
        return [_completion(choice, sampling) for choice in self._complete(requests)]

    def score(self, sequences: Sequence[Sequence[int]]) -> Tensor:
        """See `Backend`; a row for each server."""
        return torch.tensor([self._score(server, sequences) for server in self.servers])

    def release(self) -> None:
        """Nothing to do: servers have devices of their own."""

    def _score(self, server: httpx.Client, sequences: Sequence[Sequence[int]]) -> list[float]:
        scores = []
        for sequence in sequences:
            request = {"prompt": list(sequence), "max_tokens": 1, "prompt_logprobs": 0}
            places = self._ask(server, request)["prompt_logprobs"]
            scores += [
                place[str(token)]["logprob"]
                for token, place in zip(sequence[1:], places[1:], strict=True)
            ]
        return scores

    def _complete(self, requests: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
        """Answers in order. Free servers take the next request; a failed one gives its own back."""
        waiting: queue.SimpleQueue[int] = queue.SimpleQueue()
        for index in range(len(requests)):
            waiting.put(index)
        answers: dict[int, dict[str, Any]] = {}
        refused: list[EngineError] = []

        def work(server: httpx.Client) -> None:
            while server in self.servers and not refused:
                try:
                    index = waiting.get_nowait()
                except queue.Empty:
                    return
                try:
                    answers[index] = self._ask(server, requests[index])
                except httpx.TransportError as error:
                    waiting.put(index)
                    self._drop(server, error)
                except EngineError as error:
                    refused.append(error)

        # Again, should the last answers have been those of a server that failed.
        while len(answers) < len(requests) and self.servers and not refused:
            share = -(-len(requests) // len(self.servers))
            threads = [
                threading.Thread(target=work, args=(server,), daemon=True)
                for server in self.servers
                for _ in range(min(self.concurrency, share))
            ]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
        if refused:
            raise refused[0]
        self._check_left()
        return [answers[index] for index in range(len(requests))]

    def _ask(self, server: httpx.Client, request: dict[str, Any]) -> dict[str, Any]:
        content = {"model": self.models[server], "return_token_ids": True, **request}
        return _post(server, "/v1/completions", content).json()["choices"][0]

    def _each(self, call: Callable[[httpx.Client], Any]) -> None:
        """Tell all servers; one that fails now would go on with old weights, and is left out."""
        for server in list(self.servers):
            try:
                call(server)
            except httpx.TransportError as error:
                self._drop(server, error)
        self._check_left()

    def _drop(self, server: httpx.Client, error: Exception) -> None:
        if server in self.servers:
            self.servers.remove(server)
            cause = f"{type(error).__name__}: {error}"
            self.lost.append(f"{server.base_url} ({cause})")
            logger.warning(
                "rollout.urls: %s does not answer (%s); going on with %d other servers",
                server.base_url,
                cause,
                len(self.servers),
            )

    def _check_left(self) -> None:
        if not self.servers:
            lost = ", ".join(self.lost)
            raise EngineError(f"rollout: no server of rollout.urls answers any more: {lost}")


def _parts(weights: Iterable[tuple[str, Tensor]]) -> Iterator[dict[str, Tensor]]:
    part: dict[str, Tensor] = {}
    for name, weight in weights:
        # A copy each: tied weights share memory, which the file format does not take.
        part[name] = weight.cpu().clone().contiguous()
        if sum(tensor.nbytes for tensor in part.values()) >= PART_BYTES:
            yield part
            part = {}
    if part:
        yield part


def _preflight(server: httpx.Client) -> dict[str, Any]:
    """The server's model; finds out whether it can be given weights."""
    name = f"urls: {server.base_url}"
    try:
        models = server.get("/v1/models", timeout=PREFLIGHT_SECONDS)
        transfer = server.post(
            "/init_weight_transfer_engine", json={"init_info": {}}, timeout=PREFLIGHT_SECONDS
        )
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        raise UserError(
            f"{name} does not answer ({type(error).__name__}); start it with 'vllm serve'"
        ) from error
    if models.is_error or transfer.is_error:
        raise UserError(
            f"{name} cannot be given weights (status {transfer.status_code}); start it with "
            'VLLM_SERVER_DEV_MODE=1 and --weight-transfer-config \'{"backend": "p2o_files"}\', '
            "with p2o installed beside it"
        )
    return models.json()["data"][0]


def _post(server: httpx.Client, path: str, content: dict[str, Any] | None = None) -> httpx.Response:
    request = server.build_request("POST", path, json=content)
    try:
        response = server.send(request)
    except (httpx.NetworkError, httpx.RemoteProtocolError):
        # A server may close an idle connection just when it is used again: a new one tells.
        with httpx.Client(timeout=server.timeout) as fresh:
            response = fresh.send(request)
    if response.is_error:
        text = " ".join(response.text.split())[:300]
        raise EngineError(f"rollout: {server.base_url} answered {response.status_code}: {text}")
    return response


def _completion(choice: dict[str, Any], sampling: SamplingParameters) -> Completion:
    tokens = tuple(choice["token_ids"])
    log_probs = (
        (0.0,) * len(tokens)
        if sampling.temperature == 0
        else tuple(choice["logprobs"]["token_logprobs"])
    )
    stopped = choice["finish_reason"] == "stop"
    return Completion(tokens, "stop" if stopped else "length", log_probs)
