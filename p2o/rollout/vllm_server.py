r"""vLLM in processes of its own, on this node or others, over HTTP.

A server has to be told where weights will come from, and that it may be told so over HTTP::

    VLLM_SERVER_DEV_MODE=1 vllm serve MODEL --weight-transfer-config '{"backend": "p2o_files"}' \
        --logprobs-mode processed_logprobs --generation-config vllm

It loads p2o's transfer by itself where p2o is installed beside it.
"""

import asyncio
import logging
import tempfile
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import torch
from annotated_types import MinLen
from safetensors.torch import save_file
from torch import Tensor
from transformers import PreTrainedModel

from p2o.constraints import Count, Positive
from p2o.errors import EngineError, UserError
from p2o.rollout.engine import Completion, SamplingParameters
from p2o.rollout.hf import end_ids
from p2o.rollout.pushed import PushedEngine
from p2o.rollout.vllm_answers import Model, Models, read, read_completion, read_scores
from p2o.rollout.vllm_sampling import sampling_fields
from p2o.running.distributed import from_rank_zero, on_rank_zero
from p2o.running.endpoint import (
    PASSING,
    Address,
    Connection,
    Endpoint,
    Fault,
    Patience,
    RequestFailed,
    run,
)

Addresses = Annotated[Sequence[Address], MinLen(1), "of addresses such as http://host:8000"]

logger = logging.getLogger(__name__)

PART_BYTES = 2**30
"""Weights go over in parts of about this size."""
PREFLIGHT_SECONDS = 10.0
ATTEMPTS = 4
"""Of a request at one server before it is left out."""
PAUSE = 0.5
"""Seconds before the second of them."""
BYTES, BYTES_A_TOKEN = 2**20, 2**10
"""Largest answer: of any, and more for each token in it."""


def vllm_server_engine(
    model: PreTrainedModel,
    urls: Addresses,
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
        seconds: Time limit for a request at one server, all attempts together.
        probe_bound: See `p2o.rollout.probe.WeightProbe`.

    Raises:
        UserError: A server does not answer, or cannot be given weights.
    """
    if not urls:
        raise UserError("urls: give the address of at least one server")
    vocabulary = model.config.get_text_config().vocab_size
    backend = VLLMServers(end_ids(model), list(urls), folder, concurrency, seconds, vocabulary)
    return PushedEngine(backend, model, probe_bound)


class VLLMServers:
    """Servers that share the work. One that fails is left out; the others take over.

    Args:
        ends: Tokens that end a completion.
        urls: See `vllm_server_engine`, as the following.
        folder: See there.
        concurrency: See there.
        seconds: See there.
        vocabulary: Tokens there are.
    """

    def __init__(
        self,
        ends: list[int],
        urls: list[str],
        folder: str | None,
        concurrency: int,
        seconds: float,
        vocabulary: int,
    ) -> None:
        self.version = ""
        self.ends, self.concurrency, self.vocabulary = ends, concurrency, vocabulary
        self.folder = Path(folder or tempfile.mkdtemp(prefix="p2o-weights-"))
        self.seconds = seconds
        servers = [Endpoint(url.rstrip("/")) for url in urls]
        models = run(partial(_preflight_all, servers))
        self.models = {server: model.id for server, model in zip(servers, models, strict=True)}
        self.servers = servers
        self.max_length = min(model.max_model_len for model in models)
        self.lost: list[str] = []

    def load(self, weights: Iterable[tuple[str, Tensor]]) -> None:
        """See `Backend`; rank 0 writes and tells the servers, and all ranks wait for it."""
        on_rank_zero(lambda: self._tell("/start_weight_update"))
        # Every rank goes through all parts: shards are put together on the way.
        for number, part in enumerate(_parts(weights)):
            on_rank_zero(partial(self._load_part, number, part))
        on_rank_zero(self._finish)
        # A server that missed the weights is left out by every rank.
        self._keep(from_rank_zero([server.url for server in self.servers]))

    def _load_part(self, number: int, part: dict[str, Tensor]) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        path = self.folder / f"part_{number}.safetensors"
        save_file(part, path)
        self._tell("/update_weights", {"update_info": {"path": str(path)}})
        path.unlink()

    def _finish(self) -> None:
        self._tell("/finish_weight_update")
        self._tell("/reset_prefix_cache")

    def sample(
        self,
        prompts: Sequence[Sequence[int]],
        sampling: SamplingParameters,
        seeds: Sequence[int],
    ) -> list[Completion]:
        """See `Backend`."""
        requests = [
            {"prompt": list(prompt), **sampling_fields(sampling, seed, self.ends)}
            for prompt, seed in zip(prompts, seeds, strict=True)
        ]
        read = partial(read_completion, sampling, self.vocabulary)
        return run(partial(self._share_out, [(request, read) for request in requests]))

    def score(self, sequences: Sequence[Sequence[int]]) -> Tensor:
        """See `Backend`; a row for each server."""
        return torch.tensor(run(partial(self._score_all, sequences)))

    def release(self) -> None:
        """Nothing to do: servers have devices of their own."""

    async def _score_all(self, sequences: Sequence[Sequence[int]]) -> list[list[float]]:
        rows = await self._each(partial(self._score, sequences))
        return [row for row in rows if row is not None]

    async def _score(
        self, sequences: Sequence[Sequence[int]], server: Endpoint, connection: Connection
    ) -> list[float]:
        scores: list[float] = []
        for sequence in sequences:
            request = {"prompt": list(sequence), "max_tokens": 1, "prompt_logprobs": 0}
            read = partial(read_scores, sequence)
            scores += await self._ask(server, connection, request, read)
        return scores

    async def _share_out(self, requests: Sequence[tuple[dict[str, Any], Any]]) -> list[Any]:
        """Answers in order. Free servers take the next request; a failed one gives its own back."""
        answers: dict[int, Any] = {}
        waiting = deque(range(len(requests)))

        async def work(server: Endpoint, connection: Connection) -> None:
            while waiting and server in self.servers:
                index = waiting.popleft()
                try:
                    answers[index] = await self._ask(server, connection, *requests[index])
                except RequestFailed as failure:
                    waiting.append(index)
                    self._drop(server, failure)

        async def use(server: Endpoint) -> None:
            share = min(self.concurrency, -(-len(requests) // len(self.servers)))
            async with server.connect() as connection, asyncio.TaskGroup() as workers:
                for _ in range(share):
                    workers.create_task(work(server, connection))

        # Again, should the last answers have been those of a server that failed.
        while len(answers) < len(requests):
            self._check_left()
            await _together([use(server) for server in self.servers])
        return [answers[index] for index in range(len(requests))]

    async def _ask(
        self,
        server: Endpoint,
        connection: Connection,
        request: dict[str, Any],
        read: Callable[[bytes], Any],
    ) -> Any:
        content = {"model": self.models[server], "return_token_ids": True, **request}
        tokens = len(request["prompt"]) + request["max_tokens"]
        return await self._post(connection, "/v1/completions", content, read, tokens)

    async def _post(
        self,
        connection: Connection,
        path: str,
        content: dict[str, Any] | None,
        read: Callable[[bytes], Any],
        tokens: int = 0,
    ) -> Any:
        patience = Patience(
            self.seconds,
            BYTES + BYTES_A_TOKEN * tokens,
            ATTEMPTS,
            PAUSE,
            again=PASSING | {Fault.UNUSABLE},
        )
        until = asyncio.get_running_loop().time() + self.seconds
        try:
            return await connection.ask(path, read, patience, content, until=until)
        except RequestFailed as failure:
            if failure.fault == Fault.REFUSED:
                raise EngineError(f"{connection.name} answered {failure}") from failure
            raise

    def _tell(self, path: str, content: dict[str, Any] | None = None) -> None:
        """Tell all servers; one that fails now would go on with old weights, and is left out."""

        async def tell(server: Endpoint, connection: Connection) -> None:
            await self._post(connection, path, content, lambda answer: None)

        run(partial(self._each, tell))

    async def _each(self, call: Callable[[Endpoint, Connection], Any]) -> list[Any]:
        """What all servers answer, None for one that failed."""

        async def use(server: Endpoint) -> Any:
            try:
                async with server.connect() as connection:
                    return await call(server, connection)
            except RequestFailed as failure:
                self._drop(server, failure)
                return None

        answers = await _together([use(server) for server in self.servers])
        self._check_left()
        return answers

    def _keep(self, urls: Sequence[str]) -> None:
        for server in [server for server in self.servers if server.url not in urls]:
            self._drop(server, "it has not taken the weights")

    def _drop(self, server: Endpoint, cause: object) -> None:
        if server in self.servers:
            self.servers = [other for other in self.servers if other is not server]
            self.lost.append(f"{server.name} ({cause})")
            logger.warning(
                "urls: %s does not answer as it should (%s); going on with %d other servers",
                server.name,
                cause,
                len(self.servers),
            )

    def _check_left(self) -> None:
        if not self.servers:
            lost = ", ".join(self.lost)
            raise EngineError(f"urls: no server answers any more: {lost}")


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


async def _together(works: Sequence[Any]) -> list[Any]:
    """All results; the first error of one ends the others."""
    try:
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(work) for work in works]
    except ExceptionGroup as errors:
        ours = errors.subgroup(EngineError)
        raise (_first(ours) if ours else errors) from None
    return [task.result() for task in tasks]


def _first(errors: ExceptionGroup[Any]) -> Exception:
    error = errors.exceptions[0]
    return _first(error) if isinstance(error, ExceptionGroup) else error


async def _preflight_all(servers: Sequence[Endpoint]) -> list[Model]:
    return [await _preflight(server) for server in servers]


async def _preflight(server: Endpoint) -> Model:
    """The server's model; finds out whether it can be given weights."""
    name = f"urls: {server.name}"
    patience = Patience(PREFLIGHT_SECONDS, BYTES)
    async with server.connect() as connection:
        try:
            models = await connection.ask(
                "/v1/models", partial(read, Models), patience, method="GET"
            )
        except RequestFailed as failure:
            raise UserError(
                f"{name} does not answer ({failure}); start it with 'vllm serve'"
            ) from failure
        try:
            await connection.ask(
                "/init_weight_transfer_engine",
                lambda answer: None,
                patience,
                {"init_info": {}},
            )
        except RequestFailed as failure:
            raise UserError(
                f"{name} cannot be given weights ({failure}); start it with "
                'VLLM_SERVER_DEV_MODE=1 and --weight-transfer-config \'{"backend": "p2o_files"}\', '
                "with p2o installed beside it"
            ) from failure
    return models.data[0]
