"""Hard-sample mining (P²O, arXiv 2603.21877): which samples the policy hardly ever solves."""

from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

from lightning.pytorch import Callback, LightningModule, Trainer
from lightning.pytorch.utilities import rank_zero_warn

from p2o_callbacks.errors import ConfigurationError
from p2o_callbacks.protocols import (
    GroupOutcome,
    GroupSource,
    check_name,
    find_early,
    find_part,
    logging_step,
    named_key,
)
from p2o_callbacks.ranks import gather, world_size


class _Note(NamedTuple):
    """What one group says; `hard` is None where nothing was verified."""

    sample_id: str
    hard: bool | None
    dead: bool


class HardSampleMiner(Callback):
    """Keeps the hard set of every epoch: samples with too few solved rollouts.

    Counts the rollouts just made, templated or not: a sample solved with its template leaves the
    set and is rolled out bare in the next epoch. A rollout without a verdict counts for nothing: a
    sample is hard only when it would be so whatever the missing verdicts were, and one with no
    verdict at all keeps its standing.

    It may stand anywhere in the trainer's list, and several may, each with a name of its own.

    Of several ranks each may be told of the groups of all, or of its own alone. Where ranks were
    told of different groups these are put together after each batch, so that all ranks have the
    same hard set. A sample that several ranks rolled out in one batch is hard when it was so on
    each of them.

    Logs at each epoch end ``hard/size``, ``hard/entered`` (never hard before), ``hard/solved``
    (were hard in the epoch before), ``hard/relapsed`` (solved once, hard again) and
    ``hard/dead_groups``, the share of groups whose rewards are all equal.

    Args:
        threshold: An integer is the number of solved rollouts below which a sample is hard (tau of
            the paper, 2 of 6); a float in (0, 1] the success rate below which it is.
        name: Of this miner: what its metrics begin with, in place of ``hard``, and the key of its
            state.

    Raises:
        ConfigurationError: The threshold is not positive, or larger than the group, or the name is
            empty or leads elsewhere.

    Example::

        trainer = Trainer(callbacks=[HardSampleMiner(threshold=2)])
        trainer.fit(module, datamodule=datamodule)  # a GroupSource
        trainer.callbacks[0].hard_set
    """

    def __init__(self, threshold: int | float = 2, name: str = "hard") -> None:
        if threshold <= 0 or (isinstance(threshold, float) and threshold > 1):
            raise ConfigurationError(
                f"threshold={threshold}: give a count of at least 1 or a rate in (0, 1]"
            )
        check_name(name)
        self.threshold, self.name = threshold, name
        self._observing = False
        self._hard_set: list[str] = []
        self._before: set[str] = set()
        self._ever_hard: set[str] = set()
        self._seen: dict[str, bool] = {}
        self._groups = self._dead = 0
        # The epoch that these are of, once it is known.
        self._epoch: int | None = None
        # Groups that the other ranks have not been told of.
        self._fresh: list[_Note] = []

    @property
    def hard_set(self) -> Sequence[str]:
        """Ids of the hard samples of the last whole epoch, sorted."""
        return self._hard_set

    @property
    def hard_so_far(self) -> Sequence[str]:
        """Ids of the samples that were hard when they were seen last, sorted.

        Collective: every rank asks, so that all have what each was told of.
        """
        self._share()
        return sorted(self._standing())

    def _standing(self) -> set[str]:
        hard = {sample_id for sample_id, is_hard in self._seen.items() if is_hard}
        # Samples that this epoch did not reach keep their standing.
        return hard | (self._before - self._seen.keys())

    @property
    def state_key(self) -> str:
        """One for each name, so that a trainer takes several of this class."""
        return named_key(self, "hard")

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Start to observe groups."""
        if stage != "fit":
            return
        self._observing = False
        source = find_early(trainer, GroupSource, "HardSampleMiner")
        if source is not None:
            self._watch(source)

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Start to observe groups of a train dataloader, which can be seen by now."""
        if not self._observing:
            self._watch(find_part(trainer, GroupSource, "HardSampleMiner"))
        self.close_missed_epoch(trainer)

    def on_train_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Note which epoch the next groups are of."""
        self._epoch = trainer.current_epoch

    def close_missed_epoch(self, trainer: Trainer) -> None:
        """See `EpochCloser`."""
        missed = self._epoch is not None and trainer.current_epoch > self._epoch
        if missed and self._groups:
            flow = self._close()
            for metrics_logger in trainer.loggers:
                metrics_logger.log_metrics(flow, step=logging_step(trainer))
        self._epoch = trainer.current_epoch

    def _watch(self, source: GroupSource) -> None:
        if self.threshold > source.group_size:
            raise ConfigurationError(
                f"threshold={self.threshold} is above the group size of {source.group_size}, "
                f"so every sample would be hard; give at most {source.group_size}"
            )
        source.add_group_observer(self.observe)
        self._observing = True

    def observe(self, groups: Sequence[GroupOutcome]) -> None:
        """Note how groups fared."""
        notes = [self._note(group) for group in groups]
        if world_size() == 1:
            self._take([notes])
        else:
            self._fresh += notes

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Put together what the ranks were told of."""
        self._share()

    def _note(self, group: GroupOutcome) -> _Note:
        rewards = _with_verdict(group)
        hard = self._is_hard(group) if rewards else None
        return _Note(group.sample_id, hard, len(set(rewards)) <= 1)

    def _is_hard(self, group: GroupOutcome) -> bool:
        possible = len(group.solved) - group.solved.count(False)
        # The quotient, since a rate times a size can be above the whole number it stands for.
        share = isinstance(self.threshold, float)
        measure = possible / len(group.solved) if share else possible
        # A group that is smaller than the threshold is not hard when all of it may be right.
        threshold = self.threshold if share else min(self.threshold, len(group.solved))
        return measure < threshold

    def _share(self) -> None:
        if world_size() > 1:
            everyones = gather(self._fresh)
            # Ranks that were told of all groups were told the same.
            told_of_all = all(notes == everyones[0] for notes in everyones)
            self._take(everyones[:1] if told_of_all else everyones)
            self._fresh = []

    def _take(self, everyones: Sequence[Sequence[_Note]]) -> None:
        """Count the groups that each rank was told of in one batch."""
        notes = [note for told in everyones for note in told]
        self._groups += len(notes)
        self._dead += sum(note.dead for note in notes)
        self._seen |= _in_all([_last(told) for told in everyones])

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Close the epoch: what was seen becomes the hard set."""
        self._share()
        if not self._groups:
            rank_zero_warn(
                f"{type(self).__name__}: nobody has told of a group in this epoch, so the hard set "
                "stays as it was; call the observers that add_group_observer was given"
            )
        # They are equal on all ranks, which Lightning cannot know and would warn of.
        pl_module.log_dict(self._close(), batch_size=1, sync_dist=True)

    def _close(self) -> dict[str, float]:
        """Let what was seen become the hard set; returns the metrics of the epoch."""
        hard = self._standing()
        flow = {
            f"{self.name}/size": len(hard),
            f"{self.name}/entered": len(hard - self._ever_hard),
            f"{self.name}/solved": len(self._before - hard),
            f"{self.name}/relapsed": len((hard & self._ever_hard) - self._before),
            f"{self.name}/dead_groups": self._dead / max(1, self._groups),
        }
        self._hard_set, self._before = sorted(hard), hard
        self._ever_hard |= hard
        self._seen, self._groups, self._dead = {}, 0, 0
        return {name: float(value) for name, value in flow.items()}

    def state_dict(self) -> dict[str, Any]:
        """Primitives only; equal on all ranks between two batches.

        One that is taken within a batch, as after an exception, holds what this rank was told.
        """
        return {
            "hard_set": list(self._hard_set),
            "ever_hard": sorted(self._ever_hard),
            "seen": self._seen | _last(self._fresh),
            "groups": self._groups + len(self._fresh),
            "dead": self._dead + sum(note.dead for note in self._fresh),
            "epoch": self._epoch,
        }

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take over what `state_dict` wrote."""
        self._hard_set = list(state_dict["hard_set"])
        self._before = set(self._hard_set)
        self._ever_hard = set(state_dict["ever_hard"])
        self._seen = dict(state_dict["seen"])
        self._groups, self._dead = state_dict["groups"], state_dict["dead"]
        # Checkpoints of earlier versions do not tell.
        self._epoch = state_dict.get("epoch")
        self._fresh = []


def _with_verdict(group: GroupOutcome) -> list[float]:
    return [
        reward
        for reward, solved in zip(group.rewards, group.solved, strict=True)
        if solved is not None
    ]


def _last(notes: Iterable[_Note]) -> dict[str, bool]:
    """Whether each sample is hard, by the last group of it that says something."""
    return {note.sample_id: note.hard for note in notes if note.hard is not None}


def _in_all(told: Sequence[dict[str, bool]]) -> dict[str, bool]:
    """A sample is hard when it is so wherever it was rolled out."""
    together: dict[str, bool] = {}
    for seen in told:
        for sample_id, hard in seen.items():
            together[sample_id] = together.get(sample_id, True) and hard
    return together
