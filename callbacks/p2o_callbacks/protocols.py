"""What the callbacks ask of the code around them. Implement these to use a callback elsewhere.

Each callback looks for an object that has these members on ``trainer.datamodule``, then
``trainer.train_dataloader``, then the LightningModule. Of a datamodule the members have to be its
own, or the LightningModule's: its train dataloader is made too late to refuse a project early.
docs/callbacks.md tells which needs what.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from math import ceil
from typing import Any, Protocol, TypeVar, runtime_checkable

from lightning.pytorch import Trainer
from lightning.pytorch.trainer.states import TrainerFn

from p2o_callbacks.candidates import Candidate
from p2o_callbacks.errors import ConfigurationError
from p2o_callbacks.hint import HintOrText
from p2o_callbacks.pool import PromptPool
from p2o_callbacks.pool_files import Moment


@dataclass(frozen=True)
class GroupOutcome:
    """How the rollouts of one sample fared.

    Attributes:
        sample_id: Stable identity of the sample.
        rewards: One reward for each rollout.
        solved: Whether each rollout solved the sample; None where the verifier failed or timed out,
            which is no evidence either way.
    """

    sample_id: str
    rewards: tuple[float, ...]
    solved: tuple[bool | None, ...]

    def __post_init__(self) -> None:
        """Check what was given.

        Raises:
            TypeError: The id is no text.
            ValueError: There are more rewards than verdicts, or fewer.
        """
        if not isinstance(self.sample_id, str):
            raise TypeError(
                f"GroupOutcome: sample_id is a {type(self.sample_id).__name__}; give a text"
            )
        if len(self.rewards) != len(self.solved):
            raise ValueError(
                f"GroupOutcome of {self.sample_id}: {len(self.rewards)} rewards and "
                f"{len(self.solved)} verdicts; give one of each for every rollout"
            )


GroupObserver = Callable[[Sequence[GroupOutcome]], None]


@runtime_checkable
class GroupSource(Protocol):
    """Rolls out groups and tells observers how they fared."""

    group_size: int

    def add_group_observer(self, observer: GroupObserver) -> None:
        """Call `observer` on every rank with each batch of groups: its own, or those of all."""
        ...


@runtime_checkable
class HardSetSource(Protocol):
    """Knows the hard samples of the last epoch; `HardSampleMiner` is one."""

    @property
    def hard_set(self) -> Sequence[str]:
        """Sample ids in a stable order."""
        ...


@runtime_checkable
class HardSetSoFar(Protocol):
    """Knows at any time which samples are hard by what was seen of them last."""

    @property
    def hard_so_far(self) -> Sequence[str]:
        """Sample ids in a stable order."""
        ...


@runtime_checkable
class EpochCloser(Protocol):
    """Takes the hard set at an epoch's end; `HardSampleMiner` is one."""

    def close_missed_epoch(self, trainer: Trainer) -> None:
        """Close an epoch that has ended without a hook; does nothing where there is none.

        Lightning counts an epoch as ended when it goes on from a checkpoint of its last batch. What
        reads the hard set when training starts may stand before what takes it, and asks for this.
        """
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
        answers: Every right answer to the sample, where they are known: what no template may tell.
    """

    score: float
    solved: bool | None
    question: str
    response: str
    feedback: str
    repeatable: bool = False
    answers: tuple[str, ...] = ()


EvaluateTemplates = Callable[[Sequence[tuple[str, HintOrText]]], list[TemplateTrial]]
"""Tries (sample id, hint or its text) pairs in one engine call."""


@runtime_checkable
class TemplateUser(Protocol):
    """Can try templates on samples and roll out with a published pool."""

    group_size: int

    def evaluate_templates(
        self, pairs: Sequence[tuple[str, HintOrText]], seed: int
    ) -> list[TemplateTrial]:
        """Try (sample id, hint or its text) pairs with the current policy, in one engine call.

        Every rank is asked for all pairs, and has to return the same.
        """
        ...

    def publish_pool(self, pool: PromptPool) -> None:
        """Roll out with this pool from the next batch on; an empty pool means bare prompts."""
        ...


@dataclass(frozen=True)
class EvolutionProgress:
    """Where an evolution stands.

    Attributes:
        metric_calls: Sample evaluations spent so far.
        budget: Sample evaluations allowed; 0 for a search that makes none.
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
        candidates: All that was tried, in the order in which it was asked for.
        leaks: Templates found that give a sample away; None where none was looked for.
        spared: Results that were known without a metric call; None where nobody looks for such.
        solved_before: Hard samples that templates of earlier pools are known to solve, for which
            there was no search; None likewise.
    """

    pool: PromptPool
    metric_calls: int = 0
    iterations: int = 0
    candidates: tuple[Candidate, ...] = ()
    leaks: int | None = None
    spared: int | None = None
    solved_before: int | None = None


PoolObserver = Callable[[Moment, PromptPool, Evolution | None], None]
"""Is told when a pool is made, the pool, and the search that found it, if there was one."""


@runtime_checkable
class PoolSource(Protocol):
    """Makes the pools of epochs and tells observers; `PromptEvolution` is one."""

    def add_pool_observer(self, observer: PoolObserver) -> None:
        """Call `observer` with every pool that is made, on every rank."""
        ...


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
            group_size: Rollouts of a sample to deal hints out to.
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
            group_size: Rollouts of a sample to deal hints out to.
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
    done = trainer.fit_loop.epoch_loop.batch_progress.total.completed
    # The trainer counts a batch once it has been validated.
    if trainer.validating and trainer.state.fn == TrainerFn.FITTING:
        done = max(0, done - 1)
    size, length = trainer.accumulate_grad_batches, trainer.num_training_batches
    if length in (0, float("inf")):
        return done // size
    # The last batches of an epoch make a step, however few they are.
    epochs, rest = divmod(done, int(length))
    return epochs * ceil(int(length) / size) + rest // size


def check_name(name: str) -> None:
    """Refuse the name of a callback that could not be that of a folder of its own.

    Raises:
        ConfigurationError: It is empty, or leads elsewhere.
    """
    if name in ("", ".", "..") or not name.isprintable() or set("/\\") & set(name):
        raise ConfigurationError(f"name={name}: give a word, without a folder")


def named_key(callback: Any, usual: str) -> str:
    """A state key for one of several callbacks of a class, told apart by their names.

    Args:
        callback: With a ``name``.
        usual: The name with which the key is that of the class alone.
    """
    kind = type(callback).__qualname__
    return kind if callback.name == usual else f"{kind}[{callback.name}]"


Part = TypeVar("Part")


def _parts(trainer: Trainer) -> Iterator[Any]:
    yield getattr(trainer, "datamodule", None)
    yield trainer.train_dataloader
    yield trainer.lightning_module


def find_part(trainer: Trainer, protocol: type[Part], asked_by: str) -> Part:
    """Find the object around a trainer that implements `protocol`.

    Raises:
        TypeError: None does; the message says which members are missing where.
    """
    part = find_early(trainer, protocol, asked_by)
    if part is None:
        raise _missing(protocol, asked_by)
    return part


def find_early(trainer: Trainer, protocol: type[Part], asked_by: str) -> Part | None:
    """The same in ``setup``, when a train dataloader that ``fit`` was given cannot be seen yet.

    Returns:
        The object; None where it may be that dataloader, which ``on_train_start`` can find.

    Raises:
        TypeError: There is a datamodule, and neither it nor the module implements `protocol`.
    """
    for candidate in _parts(trainer):
        if isinstance(candidate, protocol):
            return candidate
    if getattr(trainer, "datamodule", None) is None and trainer.train_dataloader is None:
        return None
    raise _missing(protocol, asked_by)


def _missing(protocol: type, asked_by: str) -> TypeError:
    names = {*getattr(protocol, "__annotations__", {}), *vars(protocol)}
    members = ", ".join(sorted(name for name in names if not name.startswith("_")))
    return TypeError(
        f"{asked_by} needs a datamodule, train dataloader or LightningModule with {members} "
        f"(see p2o_callbacks.{protocol.__name__})"
    )
