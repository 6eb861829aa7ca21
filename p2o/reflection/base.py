"""What a reflection backend is: it reads how a template fared and writes another one."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol, runtime_checkable

from p2o.rollout.engine import RolloutEngine
from p2o.rollout.rendering import ChatRenderer
from p2o_callbacks.candidates import Exchange


@dataclass(frozen=True)
class ReflectionRequest:
    """One template to improve.

    Attributes:
        template: The parent template; empty for the seed.
        records: How it fared on a minibatch: ``Inputs``, ``Generated Outputs``, ``Feedback`` (text)
            and ``score`` (number) for each sample.
        seed: Makes the proposal repeatable where the backend can be.
    """

    template: str
    records: Sequence[Mapping[str, Any]]
    seed: int


def shortened(request: ReflectionRequest) -> Iterator[ReflectionRequest]:
    """The request, and then with one record less each time, the last ones first, down to one."""
    yield request
    for kept in range(len(request.records) - 1, 0, -1):
        yield replace(request, records=request.records[:kept])


class Reflection(Protocol):
    """Proposes templates."""

    def bind(self, engine: RolloutEngine, renderer: ChatRenderer) -> None:
        """Take what a backend may need of the run, before the first weight changes.

        Also the place to find out that the backend cannot work.

        Raises:
            UserError: The backend is unusable, say an endpoint that does not answer.
        """
        ...

    def reflect(self, requests: Sequence[ReflectionRequest]) -> list[str | None]:
        """Write one template for each request, in one batch; None where it failed."""
        ...


@runtime_checkable
class RemoteReflection(Reflection, Protocol):
    """A backend whose tokens are generated elsewhere, not by the engine it is bound to.

    Attributes:
        tokens: Generated for this rank so far.
    """

    tokens: int


@runtime_checkable
class ConversingReflection(Reflection, Protocol):
    """A backend that asks a language model and keeps what was said.

    Attributes:
        exchanges: Of the last call of `reflect`, one for each request; None where there was none.
    """

    exchanges: Sequence[Exchange | None]


def last_exchanges(reflection: Reflection, count: int) -> list[Exchange | None]:
    """The exchanges of a backend's last call of `count` requests; None where it has none."""
    kept = reflection.exchanges if isinstance(reflection, ConversingReflection) else ()
    return list(kept) if len(kept) == count else [None] * count
