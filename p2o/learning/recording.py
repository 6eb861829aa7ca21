"""Keeps what a run does for people to read: rollouts, searches, hints; see docs/records.md."""

from functools import partial
from pathlib import Path
from typing import Any, Literal

from lightning.pytorch import Callback, LightningModule, Trainer

from p2o.learning.datamodule import RolloutDataModule
from p2o.learning.record_rows import (
    candidate_rows,
    exchange_rows,
    hint_rows,
    hints_of,
    is_sampled,
    pool_rows,
    problem_rows,
    rollout_rows,
    token_rows,
)
from p2o.learning.rolled_out import RolledOut
from p2o.records.growing import GrowingRecords
from p2o.records.schema import BEFORE_TRAINING, FOLDER
from p2o.rollout.pieces import pieces
from p2o.running.distributed import rank
from p2o_callbacks.evolution import PromptEvolution
from p2o_callbacks.pool import PromptPool
from p2o_callbacks.pool_files import Moment
from p2o_callbacks.protocols import Evolution, HardSetSource, PoolSource


class RunRecorder(Callback):
    """Writes the records of a run. Place it behind the miner and the evolution, before checkpoints.

    Of several miners it keeps the hard set of the one that the evolution follows.

    Rank 0 writes; what it is told is the same on all ranks.

    Args:
        folder: Of the run.
        rollouts: Which are kept: all, those of one problem in ten, or none.
        reflection: Whether the exchanges with the reflection model are kept.
    """

    def __init__(
        self,
        folder: Path,
        rollouts: Literal["all", "sampled", "none"] = "all",
        reflection: Literal["full", "none"] = "full",
    ) -> None:
        self.rollouts, self.reflection = rollouts, reflection
        self.records = GrowingRecords(folder / FOLDER)
        self._trainer: Any = None
        self._watches = self._has_problems = False
        # Pairs that the search at hand has tried so far.
        self._pairs = 0

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Start to watch, once."""
        self._trainer = trainer
        if self._watches or rank() != 0:
            return
        self._watches = True
        for callback in self._trainer.callbacks:
            if isinstance(callback, PoolSource):
                callback.add_pool_observer(self.pool_made)
        if isinstance(self._trainer.datamodule, RolloutDataModule):
            self._trainer.datamodule.add_rollout_observer(self.rolled_out)

    def on_train_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """A search has ended, if there was one."""
        self._pairs = 0

    def rolled_out(self, told: RolledOut) -> None:
        """Keep rollouts; see `RolloutObserver`."""
        self._add_problems()
        first = told.first
        if told.phase == "evolution":
            first, self._pairs = self._pairs, self._pairs + len(told.groups)
        epoch = BEFORE_TRAINING if told.untrained else self._trainer.current_epoch
        if self.rollouts != "none":
            kept = [
                (first + place, place)
                for place, group in enumerate(told.groups)
                if self.rollouts == "all"
                or told.phase == "held_out"
                or is_sampled(group[0].prompt.id)
            ]
            step = self._trainer.global_step
            self.records.add("rollouts", rollout_rows(told, kept, epoch, step))
            tokenizer = self._trainer.datamodule.loader.runner.renderer.tokenizer
            read = partial(pieces, tokenizer)
            self.records.add("tokens", token_rows(told, kept, epoch, step, read))
            texts = (rollout.hint for group in told.groups for rollout in group)
            self.records.add("hints", hint_rows(texts))
        if told.phase != "evolution":
            self.records.settle()
        if told.phase == "held_out":
            self.records.write_settled()

    def pool_made(self, moment: Moment, pool: PromptPool, evolution: Evolution | None) -> None:
        """Keep a pool, and the search that found it; see `PoolObserver`."""
        candidates = evolution.candidates if evolution is not None else ()
        self.records.add("hints", hint_rows(hints_of(pool, candidates)))
        self.records.add("candidates", candidate_rows(moment, candidates))
        if self.reflection == "full":
            self.records.add("exchanges", exchange_rows(moment, candidates))
        self.records.add("pool", pool_rows(moment, pool))
        self.records.settle()
        self.records.write_settled()

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Keep the hard set that the search is for."""
        if not self._watches:
            return
        epoch = trainer.current_epoch
        miner = _followed_miner(trainer)
        if miner is not None:
            rows = [{"epoch": epoch, "problem": problem} for problem in miner.hard_set]
            self.records.put("hard", epoch, rows)
        self.records.settle()
        self.records.write_settled()

    def on_exception(
        self, trainer: Trainer, pl_module: LightningModule, exception: BaseException
    ) -> None:
        """Write what counts; what was broken off does not."""
        self._write()

    def teardown(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Write what is held."""
        self._write()

    def _write(self) -> None:
        if self._watches:
            self.records.write_settled()

    def _add_problems(self) -> None:
        if self._has_problems:
            return
        self._has_problems = True
        data = self._trainer.datamodule
        self.records.add("problems", problem_rows(data.loader.prompts, "train"))
        self.records.add("problems", problem_rows(data.evaluation.prompts, "held_out"))

    def state_dict(self) -> dict[str, Any]:
        """How many parts of each table count."""
        return self.records.state_dict() if self._watches else {}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Drop what the checkpoint does not know of, which is done again."""
        if self._watches:
            self.records.load_state_dict(state_dict)
            # Those on the disk are known and not written again.
            self._has_problems = False


def _followed_miner(trainer: Any) -> HardSetSource | None:
    """The miner that a search follows; without a search the first one, if there is any."""
    evolutions = (each for each in trainer.callbacks if isinstance(each, PromptEvolution))
    evolution = next(evolutions, None)
    if evolution is not None:
        return evolution.find_miner(trainer)
    return next((each for each in trainer.callbacks if isinstance(each, HardSetSource)), None)
