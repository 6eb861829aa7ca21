"""Records of a run in Weights & Biases: tables of rollouts and hints, pools as an artifact."""

import json
from typing import Any

from lightning.pytorch import Callback, LightningModule, Trainer
from lightning.pytorch.loggers import WandbLogger

from p2o.learning.recording import RunRecorder
from p2o.records import Records
from p2o_callbacks.pool import PromptPool
from p2o_callbacks.protocols import Evolution, PoolSource, logging_step

MOST_ROLLOUTS = 100
"""Of an epoch that are sent; all of them are in the records."""
ROLLOUT_COLUMNS = (
    *("epoch", "problem", "hint", "hinted", "solved", "reward", "answer", "advantage"),
    "response",
)
HINT_COLUMNS = ("hint", "kind", "text")


class WandbRecords(Callback):
    """Sends the first rollouts of each epoch, and all hints so far, as tables at its end.

    Each pool becomes a version of the run's artifact ``pool``. Does nothing without a
    `WandbLogger`. To stand behind the recorder.

    Args:
        recorder: Of the run.
    """

    def __init__(self, recorder: RunRecorder) -> None:
        self.recorder = recorder
        self._loggers: list[WandbLogger] = []

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Find the logger, and what makes pools."""
        if stage != "fit" or self._loggers or not trainer.is_global_zero:
            return
        self._loggers = [each for each in trainer.loggers if isinstance(each, WandbLogger)]
        callbacks: Any = trainer.callbacks  # type: ignore[attr-defined]
        for callback in callbacks if self._loggers else ():
            if isinstance(callback, PoolSource):
                callback.add_pool_observer(self.send_pool)

    def send_pool(self, epoch: int, pool: PromptPool, evolution: Evolution | None) -> None:
        """Add a version to the artifact; see `PoolObserver`."""
        import wandb

        for logger in self._loggers:
            name = f"pool-{logger.experiment.id}"
            artifact = wandb.Artifact(name, type="pool", metadata={"epoch": epoch})
            with artifact.new_file("pool.json", mode="w") as file:
                json.dump(pool.state_dict(), file, indent=2)
            logger.experiment.log_artifact(artifact)

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Send tables."""
        if not self._loggers:
            return
        self.recorder.records.write_settled()
        records = Records(self.recorder.records.folder)
        rollouts = records.rows(
            "rollouts", ROLLOUT_COLUMNS, phase="training", epoch=trainer.current_epoch
        )
        sent = [list(row) for row, _ in zip(rollouts, range(MOST_ROLLOUTS), strict=False)]
        hints = [list(row) for row in records.rows("hints", HINT_COLUMNS)]
        for logger in self._loggers:
            step = logging_step(trainer)
            for name, columns, rows in (
                ("records/rollouts", ROLLOUT_COLUMNS, sent),
                ("records/hints", HINT_COLUMNS, hints),
            ):
                logger.log_table(name, list(columns), rows, step=step)
