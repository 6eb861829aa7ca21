"""Where the time of a process goes: spans of named work, cut into windows, one for each step."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from time import perf_counter
from typing import Any

GENERATION, VERIFYING, SCORING, UPDATE = "generation", "verifying", "scoring", "update"
PARTS = (GENERATION, VERIFYING, SCORING, UPDATE)
"""Names of work; what a step spends on none of them is its ``other``."""


@dataclass
class Call:
    """One call of an engine: tokens of each prompt and of each completion, and when it ended."""

    end: float
    prompts: list[int]
    completions: list[int]


@dataclass
class Clock:
    """Spans of work. A span inside another one is part of the outer one.

    Attributes:
        spans: Name, start and end in seconds.
        calls: Of the engine.
        windows: Start and end of each step, and its epoch, in order.
        facts: What else is to be written down.
    """

    spans: list[tuple[str, float, float]] = field(default_factory=list)
    calls: list[Call] = field(default_factory=list)
    windows: list[tuple[float, float, int]] = field(default_factory=list)
    facts: dict[str, Any] = field(default_factory=dict)
    _open: list[tuple[str, float]] = field(default_factory=list)
    _window: float = 0.0
    _epoch: int = -1

    def start(self, name: str) -> None:
        """Begin a span."""
        self._open.append((name, perf_counter()))

    def stop(self) -> None:
        """End the span that began last."""
        name, start = self._open.pop()
        if not self._open:
            self.spans.append((name, start, perf_counter()))

    @contextmanager
    def span(self, name: str) -> Iterator[None]:
        """A span around a block."""
        self.start(name)
        try:
            yield
        finally:
            self.stop()

    def called(self, prompts: list[int], completions: list[int]) -> None:
        """Note a call of the engine that has just ended."""
        self.calls.append(Call(perf_counter(), prompts, completions))

    def open_epoch(self) -> None:
        """An epoch begins now, and so does its first step."""
        self._epoch += 1
        self._window = perf_counter()

    def end_step(self) -> None:
        """A step ends now, and the next one begins."""
        now = perf_counter()
        self.windows.append((self._window, now, self._epoch))
        self._window = now

    def steps(self) -> list[dict[str, Any]]:
        """Seconds of each window by part, and what was sampled in it."""
        return [self._step(*window) for window in self.windows]

    def _step(self, start: float, end: float, epoch: int) -> dict[str, Any]:
        parts: dict[str, float] = dict.fromkeys(PARTS, 0.0)
        for name, begin, finish in self.spans:
            if start <= begin and finish <= end:
                parts[name] += finish - begin
        calls = [call for call in self.calls if start < call.end <= end]
        return {
            "epoch": epoch,
            "seconds": end - start,
            **parts,
            "other": end - start - sum(parts.values()),
            "prompts": [length for call in calls for length in call.prompts],
            "completions": [length for call in calls for length in call.completions],
        }

    def write(self, path: Path) -> None:
        """Write steps, facts and the process's memory as JSON."""
        content = {"steps": self.steps(), "peak_bytes": peak_bytes(), **self.facts}
        path.write_text(json.dumps(content))


def peak_bytes() -> int:
    """The most memory that this process has had in RAM.

    Linux's ``ru_maxrss`` begins at the size of the process that started this one; ``VmHWM`` does
    not.
    """
    status = Path("/proc/self/status")
    if status.is_file():
        line = next(line for line in status.read_text().splitlines() if line.startswith("VmHWM"))
        return int(line.split()[1]) * 1024
    import resource
    import sys

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


CLOCK = Clock()
"""The clock of this process: whatever is measured in it is made by others, by name."""
