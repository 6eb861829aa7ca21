"""A record of what a search has paid for, so that a killed search goes on where it was.

The search itself is deterministic: made again with the same answers it takes the same steps. So it
is enough to keep the answers. A resumed run starts the search anew and gets those it already has
from the journal, in no time, until it is where it was stopped.
"""

import hashlib
import json
import os
import time
import zlib
from collections.abc import Sequence
from dataclasses import asdict, astuple
from functools import cached_property
from pathlib import Path
from typing import Any, Literal, Self

from p2o.accounting.ledger import Ledger
from p2o.policy.causal import CausalPolicy
from p2o.reflection.base import ReflectionRequest, RemoteReflection, last_exchanges
from p2o.rollout.engine import Completion, RolloutEngine, SamplingParameters
from p2o.rollout.rendering import ChatRenderer
from p2o.rollout.weights import fingerprint
from p2o.running.distributed import from_rank_zero, gather, rank
from p2o.running.files import set_aside
from p2o_callbacks.candidates import Exchange

PART = 64
"""Requests that a reflection backend gets at a time, or as many as it works on side by side."""
IN_VAIN = 2
"""Parts in a row without a single template, after which the backend is not asked for the rest."""


class Journal:
    """Results by key, one JSON line each, on disk before the next one is asked for.

    It holds the results of one version of the policy; those of another are dropped when the first
    new one is written. Every line begins with its checksum: one that a kill cut off, or that is not
    as it was written, is ignored.

    Args:
        folder: Where; each rank has a file of its own there.
        ledger: Gets the seconds that results of a process before this one took, as they are used.
    """

    def __init__(self, folder: Path, ledger: Ledger | None = None) -> None:
        self.folder, self.ledger = folder, ledger
        self.version = self._kept_version = ""
        self._results: dict[str, Any] = {}
        self._seconds: dict[str, float] = {}
        self._read = self._cut_off = False

    @cached_property
    def path(self) -> Path:
        """The file; found at first use, when ranks know which they are."""
        return self.folder / f"journal_{rank()}.jsonl"

    def get(self, key: str) -> Any:
        """The result, or None."""
        self._read_once()
        if self.version != self._kept_version:
            return None
        seconds = self._seconds.pop(key, 0.0)
        if self.ledger is not None:
            self.ledger.add(seconds=seconds)
        return self._results.get(key)

    def put(self, key: str, result: Any, seconds: float) -> None:
        """Keep a result, and how long it took."""
        self._read_once()
        mode = "a"
        if self.version != self._kept_version:
            self._kept_version, mode = self.version, "w"
            self._results, self._seconds = {}, {}
        self._results[key] = result
        self.folder.mkdir(parents=True, exist_ok=True)
        line = _with_checksum(json.dumps([self.version, key, result, seconds]))
        with self.path.open(mode, encoding="utf-8") as file:
            file.write(f"\n{line}\n" if self._cut_off else f"{line}\n")
            file.flush()
            os.fsync(file.fileno())
        self._cut_off = False

    def _read_once(self) -> None:
        if self._read:
            return
        self._read = True
        if self.path.is_dir():
            set_aside(self.path)
        text = self.path.read_text(errors="replace") if self.path.is_file() else ""
        for line in text.split("\n"):
            _, _, content = line.partition(" ")
            if content and line == _with_checksum(content):
                fields = json.loads(content)
                # Others are of another version of p2o.
                if len(fields) == 4:
                    self._kept_version, key, self._results[key], self._seconds[key] = fields
        self._cut_off = bool(text) and not text.endswith("\n")


def _with_checksum(content: str) -> str:
    return f"{zlib.crc32(content.encode(errors='replace')):08x} {content}"


class JournaledEngine:
    """An engine that asks its journal first.

    Args:
        engine: The engine that does the work.
        journal: Of this rank.
        version: Of weights that never change; None follows `update_weights`.
    """

    def __init__(self, engine: RolloutEngine, journal: Journal, version: str | None = None) -> None:
        self.engine, self.journal, self.version = engine, journal, version

    def generate(
        self,
        prompts: Sequence[Sequence[int]],
        sampling: SamplingParameters,
        seeds: Sequence[int],
    ) -> list[Completion]:
        """Sample, or take from the journal; see `RolloutEngine.generate`."""
        key = _digest([self.version, list(map(list, prompts)), asdict(sampling), list(seeds)])
        kept = self.journal.get(key)
        # All ranks or none: sampling may be a collective operation.
        if all(gather(kept is not None)):
            return [_completion(*fields) for fields in kept]
        begun = time.monotonic()
        completions = self.engine.generate(prompts, sampling, seeds)
        kept = [astuple(completion) for completion in completions]
        self.journal.put(key, kept, time.monotonic() - begun)
        return completions

    @property
    def max_length(self) -> int | None:
        """Tokens of a prompt and its completion together; None where the engine does not say."""
        return getattr(self.engine, "max_length", None)

    def update_weights(self, policy: CausalPolicy) -> None:
        """Results of other weights no longer count; see `RolloutEngine.update_weights`."""
        self.journal.version = fingerprint(policy)
        self.engine.update_weights(policy)

    def frozen_copy(self) -> Self:
        """See `RolloutEngine.frozen_copy`."""
        return type(self)(self.engine.frozen_copy(), self.journal, version="frozen")

    def release(self) -> None:
        """See `RolloutEngine.release`."""
        self.engine.release()


def _completion(
    ids: list[int], reason: Literal["stop", "length"], logs: list[float], mask: list[bool] | None
) -> Completion:
    return Completion(tuple(ids), reason, tuple(logs), None if mask is None else tuple(mask))


class JournaledReflection:
    """A reflection backend elsewhere that is not asked again for what the journal has.

    Args:
        reflection: The backend.
        journal: Of this rank; that of rank 0 decides.

    Attributes:
        exchanges: See `ConversingReflection`.
    """

    def __init__(self, reflection: RemoteReflection, journal: Journal) -> None:
        self.reflection, self.journal, self.tokens = reflection, journal, 0
        self.exchanges: list[Exchange | None] = []

    def bind(self, engine: RolloutEngine, renderer: ChatRenderer) -> None:
        """See `Reflection.bind`."""
        self.reflection.bind(engine, renderer)

    def reflect(self, requests: Sequence[ReflectionRequest]) -> list[str | None]:
        """Reflect, or take from the journal; see `Reflection.reflect`.

        Requests go out in parts, each with the backend's time limit and a place in the journal of
        its own. Once `IN_VAIN` parts in a row have brought nothing, the rest is not asked.
        """
        templates: list[str | None] = []
        self.exchanges = []
        in_vain = 0
        size = max(PART, getattr(self.reflection, "concurrency", 0))
        for start in range(0, len(requests), size):
            part = requests[start : start + size]
            if in_vain == IN_VAIN:
                written, said = [None] * len(part), [None] * len(part)
            else:
                written, said = self._reflect(part)
            in_vain = 0 if any(each is not None for each in written) else in_vain + 1
            templates += written
            self.exchanges += said
        return templates

    def _reflect(
        self, requests: Sequence[ReflectionRequest]
    ) -> tuple[list[str | None], list[Exchange | None]]:
        records = [[r.template, list(map(dict, r.records)), r.seed] for r in requests]
        key = _digest(["reflection", records])
        kept = from_rank_zero(self.journal.get(key))
        if kept is None:
            before, begun = self.reflection.tokens, time.monotonic()
            templates = self.reflection.reflect(requests)
            kept = {
                "templates": templates,
                "tokens": self.reflection.tokens - before,
                "exchanges": [
                    exchange and astuple(exchange)
                    for exchange in last_exchanges(self.reflection, len(requests))
                ],
            }
            if rank() == 0:
                self.journal.put(key, kept, time.monotonic() - begun)
        if rank() == 0:
            self.tokens += kept["tokens"]
        exchanges = [said and Exchange(*said) for said in kept["exchanges"]]
        return kept["templates"], exchanges


def _digest(content: Any) -> str:
    return hashlib.sha256(json.dumps(content).encode()).hexdigest()
