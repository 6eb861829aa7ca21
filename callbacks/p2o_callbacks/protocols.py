"""What the callbacks ask of the code around them. Implement these to use a callback elsewhere.

Each callback looks for an object that has these members on ``trainer.datamodule``, then
``trainer.train_dataloader``, then the LightningModule.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar, runtime_checkable

from lightning.pytorch import Trainer

from p2o_callbacks.pool import PromptPool


@dataclass(frozen=True)
class GroupOutcome:
    """How all rollouts of one sample fared, gathered over ranks.

    Attributes:
        sample_id: Stable identity of the sample.
        rewards: One reward for each rollout.
        solved: Whether each rollout solved the sample; None where the verifier failed or timed out,
            which is no evidence either way.
    """

    sample_id: str
    rewards: tuple[float, ...]
    solved: tuple[bool | None, ...]


GroupObserver = Callable[[Sequence[GroupOutcome]], None]


@runtime_checkable
class GroupSource(Protocol):
    """Rolls out groups and tells observers how they fared."""

    group_size: int

    def add_group_observer(self, observer: GroupObserver) -> None:
        """Call `observer` with every batch of groups, on every rank, with the groups of all."""
        ...


@runtime_checkable
class HardSetSource(Protocol):
    """Knows the hard samples of the last epoch; `HardSampleMiner` is one."""

    @property
    def hard_set(self) -> Sequence[str]:
        """Sample ids in a stable order."""
        ...


@dataclass(frozen=True)
class TemplateTrial:
    """How one template fared on one sample.

    Attributes:
        score: Higher is better; says nothing where there is no verdict.
        solved: Whether the response solves the sample; None where the verifier failed or timed out,
            which is no evidence either way.
        question: The sample's text.
        response: What the policy answered.
        feedback: What a reflection model should know of it.
        repeatable: Whether another trial would come out the same, as with greedy decoding; a search
            keeps such a result and does not ask for it again.
    """

    score: float
    solved: bool | None
    question: str
    response: str
    feedback: str
    repeatable: bool = False


EvaluateTemplates = Callable[[Sequence[tuple[str, str]]], list[TemplateTrial]]
"""Tries (sample id, template text) pairs in one engine call."""


@runtime_checkable
class TemplateUser(Protocol):
    """Can try templates on samples and roll out with a published pool."""

    group_size: int

    def evaluate_templates(
        self, pairs: Sequence[tuple[str, str]], seed: int
    ) -> list[TemplateTrial]:
        """Try (sample id, template text) pairs with the current policy, in one engine call."""
        ...

    def publish_pool(self, pool: PromptPool) -> None:
        """Roll out with this pool from the next batch on; an empty pool means bare prompts."""
        ...


@dataclass(frozen=True)
class EvolutionProgress:
    """Where an evolution stands.

    Attributes:
        metric_calls: Sample evaluations spent so far.
        budget: Sample evaluations allowed.
        best_score: Best mean dev score so far.
        pool_size: Templates in the pool, the empty one included.
    """

    metric_calls: int
    budget: int
    best_score: float
    pool_size: int


@dataclass(frozen=True)
class Evolution:
    """What an evolution found.

    Attributes:
        pool: The next prompt pool; empty when nothing was found.
        metric_calls: Sample evaluations asked for; a result that was kept costs none.
        iterations: Rounds of proposals.
    """

    pool: PromptPool
    metric_calls: int = 0
    iterations: int = 0


class Evolver(Protocol):
    """Searches templates for hard samples. Knows nothing of Lightning."""

    def evolve(
        self,
        hard_set: Sequence[str],
        evaluate: EvaluateTemplates,
        *,
        group_size: int,
        seed: int,
        report: Callable[[EvolutionProgress], None],
    ) -> Evolution:
        """Search, choose and assign.

        Args:
            hard_set: Sample ids.
            evaluate: Tries templates.
            group_size: Rollouts a sample, so templates to assign to each.
            seed: Makes the search repeatable.
            report: Called as the search goes on.
        """
        ...

    def deal(
        self, pool: PromptPool, hard_set: Sequence[str], *, group_size: int, seed: int
    ) -> Mapping[str, tuple[int | None, ...]]:
        """Deal the templates of an earlier search out to the hard samples of today.

        Args:
            pool: What the search found.
            hard_set: Sample ids.
            group_size: Rollouts a sample.
            seed: That of the search, so that a sample which is still hard keeps its templates.

        Returns:
            The assignment, see `PromptPool`.
        """
        ...


@runtime_checkable
class EvolutionDisplay(Protocol):
    """A progress bar that can show an evolution."""

    def evolution_progress(self, progress: EvolutionProgress) -> None:
        """Show `progress`."""
        ...

    def evolution_end(self, outcome: str) -> None:
        """Take the display of the evolution away and leave one line that says what came of it."""
        ...


def logging_step(trainer: Trainer) -> int:
    """The step at which the trainer itself would log now; steps that change nothing count too.

    Rows of one history stand in order only when all of them count alike.
    """
    return trainer.fit_loop.epoch_loop._batches_that_stepped


Part = TypeVar("Part")


def _parts(trainer: Trainer) -> Iterator[Any]:
    yield getattr(trainer, "datamodule", None)
    yield trainer.train_dataloader
    yield trainer.lightning_module
    # What was passed to fit(); `train_dataloader` is None until `setup` is over.
    yield trainer.fit_loop._data_source.instance


def find_part(trainer: Trainer, protocol: type[Part], asked_by: str) -> Part:
    """Find the object around a trainer that implements `protocol`.

    Raises:
        TypeError: None does; the message says which members are missing where.
    """
    for candidate in _parts(trainer):
        if isinstance(candidate, protocol):
            return candidate
    names = {*getattr(protocol, "__annotations__", {}), *vars(protocol)}
    members = ", ".join(sorted(name for name in names if not name.startswith("_")))
    raise TypeError(
        f"{asked_by} needs a datamodule, train dataloader or LightningModule with {members} "
        f"(see p2o_callbacks.{protocol.__name__})"
    )
