"""Live progress for a terminal: one line for the epoch, one for an evolution under way."""

import sys
from collections.abc import Mapping
from typing import Any

from lightning.pytorch import LightningModule, Trainer
from lightning.pytorch.callbacks import ProgressBar
from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    Task,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.table import Column
from rich.text import Text

from p2o_callbacks.pace import Pace
from p2o_callbacks.protocols import EvolutionProgress
from p2o_callbacks.spoken import several


class LoopProgress(ProgressBar):
    """Shows epoch, step, and the metrics named; inside an evolution its budget, best score, pool.

    Where the output is not a terminal, lines say instead that an epoch or an evolution begins and
    how much there is to do, about once a minute how much is done and how long the rest will take,
    and at its end what came of it. Evolutions within an epoch that spend nothing leave one line
    together: what came of the last.

    Args:
        metrics: Logged name to how it is shown, such as ``"reward {:.2f}"``, in order.
    """

    def __init__(self, metrics: dict[str, str] | None = None) -> None:
        super().__init__()
        self.formats = metrics or {
            "reward/mean": "reward {:.2f}",
            "groups/dead": "dead {:.2f}",
            "hard/size": "hard {:.0f}",
            "val/accuracy": "val {:.2f}",
        }
        self._enabled = True
        self._progress: Progress | None = None
        self._epoch_task: TaskID | None = None
        self._evolution_task: TaskID | None = None
        self._last: EvolutionProgress | None = None
        self._within_epoch = False
        self._unsaid = ""
        self._pace = self._evolution_pace = Pace(0)
        self._before: dict[str, Any] = {}

    def disable(self) -> None:
        """Show nothing, as Lightning asks on ranks other than 0."""
        self._enabled = False

    def enable(self) -> None:
        """Show progress."""
        self._enabled = True

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Start the display."""
        if not self._enabled:
            return
        console = Console(stderr=True)
        # rich calls a pipe a terminal where FORCE_COLOR is set, as notebooks and CI do.
        self._live = console.file.isatty()
        self._progress = Progress(
            TextColumn("{task.description}", markup=False),
            BarColumn(bar_width=12),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            _TimeLeft(),
            # What is too long for the terminal is cut here, and no other column shrinks for it.
            TextColumn(
                "{task.fields[note]}",
                markup=False,
                table_column=Column(ratio=1, no_wrap=True, overflow="ellipsis"),
            ),
            console=console,
            expand=True,
            transient=True,
            disable=not self._live,
        )
        self._progress.start()

    def on_train_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Begin the epoch's line."""
        if self._progress is not None:
            self._begin_epoch(self._progress, trainer)

    def _begin_epoch(self, progress: Progress, trainer: Trainer, done: int = 0) -> None:
        description = f"epoch {trainer.current_epoch + 1}"
        if trainer.max_epochs is not None and trainer.max_epochs > 0:
            description += f"/{trainer.max_epochs}"
        if self._epoch_task is not None:
            progress.remove_task(self._epoch_task)
        self._description = description
        # A loader without a length has infinitely many.
        length = trainer.num_training_batches
        steps = None if length == float("inf") else int(length)
        self._before = dict(trainer.callback_metrics)
        self._pace = Pace(steps, done)
        self._announce(description if steps is None else f"{description}, {several(steps, 'step')}")
        self._epoch_task = progress.add_task(description, total=steps, note="")

    def on_train_batch_start(
        self, trainer: Trainer, pl_module: LightningModule, batch: Any, batch_idx: int
    ) -> None:
        """Take note that evolutions are now within an epoch."""
        self._within_epoch = True

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Move the epoch's line on."""
        if self._progress is None:
            return
        # An epoch that is resumed in its middle does not start again.
        if self._epoch_task is None:
            self._begin_epoch(self._progress, trainer, batch_idx)
        if self._epoch_task is not None:
            self._progress.update(
                self._epoch_task, completed=batch_idx + 1, note=self._note(trainer, self._before)
            )
        self._tell(f"{self._description}, steps", self._pace.due(batch_idx + 1))

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Leave one line behind for the epoch."""
        self._within_epoch = False
        if self._progress is not None:
            if self._unsaid:
                self._say(self._unsaid)
                self._unsaid = ""
            if self._epoch_task is None:
                self._begin_epoch(self._progress, trainer)
            self._say(f"{self._description}  step {trainer.global_step}  {self._note(trainer)}")

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Take the display away."""
        self._stop()

    def on_exception(
        self, trainer: Trainer, pl_module: LightningModule, exception: BaseException
    ) -> None:
        """Take the display away, so that the error can be read."""
        self._stop()

    def evolution_progress(self, progress: EvolutionProgress) -> None:
        """See `EvolutionDisplay`."""
        self._last = progress
        if self._progress is None:
            return
        if self._evolution_task is None:
            self._evolution_task = self._progress.add_task("evolution", total=1, note="")
            self._evolution_pace = Pace(progress.budget, progress.metric_calls)
            if progress.budget:
                self._announce(f"evolution, at most {progress.budget} metric calls")
        self._progress.update(
            self._evolution_task,
            # A search that makes no calls does not tell how far it is.
            total=progress.budget or None,
            completed=progress.metric_calls,
            note=f"best dev {progress.best_score:.2f}  pool {progress.pool_size}",
        )
        due = self._evolution_pace.due(progress.metric_calls)
        self._tell("evolution, metric calls", due)

    def evolution_end(self, outcome: str) -> None:
        """See `EvolutionDisplay`."""
        if self._progress is None:
            return
        if self._evolution_task is not None:
            self._progress.remove_task(self._evolution_task)
            self._evolution_task = None
        spent = ""
        if self._last is not None and self._last.budget:
            spent = f"{self._last.metric_calls}/{self._last.budget} metric calls, "
        self._last = None
        line = f"evolution  {spent}{outcome}"
        if self._within_epoch and not spent:
            self._unsaid = line
        else:
            self._say(line)

    def _note(self, trainer: Trainer, before: Mapping[str, Any] | None = None) -> str:
        """The metrics; without those that are still the ones of the epoch before."""
        values, old = trainer.callback_metrics, before or {}
        return "  ".join(
            shown.format(float(values[name]))
            for name, shown in self.formats.items()
            if name in values and values[name] is not old.get(name)
        )

    def _announce(self, what: str) -> None:
        """Say that something begins, where no display does."""
        if not self._live:
            self._say(f"start: {what}")

    def _tell(self, what: str, how_far: str | None) -> None:
        """Say how far something is, where no display does."""
        if not self._live and how_far is not None:
            self._say(f"  {what}: {how_far}")

    def _say(self, line: str) -> None:
        if self._progress is not None and self._live:
            self._progress.console.print(line, markup=False, highlight=False)
        else:
            print(line, file=sys.stderr, flush=True)

    def _stop(self) -> None:
        if self._progress is not None:
            self._progress.stop()
        self._progress = self._epoch_task = self._evolution_task = self._last = None
        self._within_epoch, self._unsaid = False, ""


class _TimeLeft(TimeRemainingColumn):
    """How long the rest will take, in words that tell it from the time that is gone."""

    def render(self, task: Task) -> Text:
        """See `rich.progress.ProgressColumn.render`."""
        if task.total is None:
            return Text("")
        return Text(f"{super().render(task)} left", style="progress.remaining")
