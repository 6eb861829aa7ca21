"""``metrics.csv``, with one history however often a run was stopped."""

import csv
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from lightning.fabric.loggers.logger import rank_zero_experiment
from lightning.pytorch import Trainer
from lightning.pytorch.loggers import CSVLogger
from lightning.pytorch.loggers.csv_logs import ExperimentWriter
from lightning.pytorch.utilities import rank_zero_only
from omegaconf import DictConfig
from torch import tensor

from p2o.constraints import Count
from p2o.running.files import set_aside, written_whole
from p2o.running.secrets import hide_settings, plain_config
from p2o_callbacks.protocols import logging_step

Rows = list[dict[str, str]]


def log_once(trainer: Trainer, metrics: Mapping[str, float]) -> None:
    """Log at once, beside the step at hand, and let callbacks see the values.

    What a step logs through Lightning is repeated by each step after it that logs nothing.
    """
    row = {**metrics, "epoch": trainer.current_epoch}
    for logger in trainer.loggers:
        logger.log_metrics(row, step=logging_step(trainer))
    trainer.callback_metrics.update({name: tensor(value) for name, value in metrics.items()})


def begin_logging(trainer: Trainer) -> None:
    """Start what loggers write to, some of which keep the command line, without keys in clear."""
    # Ranks are started with the command line later.
    given = sys.argv
    sys.argv = [hide_settings(argument) for argument in given]
    try:
        for logger in trainer.loggers:
            # Made at its first use, by Weights & Biases say.
            getattr(logger, "experiment", None)
    finally:
        sys.argv = given


def log_configuration(trainer: Trainer, config: DictConfig) -> None:
    """Give each logger the configuration of the run, without keys that were given in clear."""
    for logger in trainer.loggers:
        logger.log_hyperparams(plain_config(config))


class MetricsTable(CSVLogger):
    """Lightning's CSV logger, which goes on with the table of a run resumed in the same folder.

    Rows from the step of the first new row on are those of work that was lost and is done again. A
    row that a kill cut off is dropped; a table that cannot be read is set aside.

    Args:
        arguments: See `CSVLogger`.
        flush_logs_every_n_steps: How often the file is written.
        more: See `CSVLogger`.
    """

    _begun = False

    def __init__(self, *arguments: Any, flush_logs_every_n_steps: Count = 100, **more: Any) -> None:
        super().__init__(*arguments, flush_logs_every_n_steps=flush_logs_every_n_steps, **more)

    @property
    @rank_zero_experiment
    def experiment(self) -> Any:
        """The writer, made at first use."""
        if self._experiment is None:
            self._experiment = _Writer(self.log_dir)
        return self._experiment

    def log_hyperparams(self, *arguments: Any, **more: Any) -> None:
        """Write nothing: the folder of the run has its configuration, ``.hydra/config.yaml``."""

    @rank_zero_only
    def log_metrics(self, metrics: Any, step: int | None = None) -> None:
        """Add a row."""
        if not self._begun and step is not None:
            self._begun = True
            self.experiment.keep_rows_before(step)
        super().log_metrics(metrics, step)

    @rank_zero_only
    def drop_rows(self, unwanted: Callable[[int, Mapping[str, str]], bool]) -> None:
        """Leave out rows of a table that was there before the first row of this run.

        Args:
            unwanted: Tells of a row, by its place from 0 and its cells, whether it is left out.
        """
        path = Path(self.experiment.metrics_file_path)
        table = _read(path) if path.exists() else None
        if table is not None:
            columns, rows = table
            kept = [row for place, row in enumerate(rows) if not unwanted(place, row)]
            _write(path, columns, kept)

    @rank_zero_only
    def count_rows(self) -> int:
        """How many rows are on the disk, those logged so far included; None on other ranks."""
        self.save()
        path = Path(self.experiment.metrics_file_path)
        table = _read(path) if path.exists() else None
        return 0 if table is None else len(table[1])


def tables(trainer: Trainer) -> list[MetricsTable]:
    """Those among a trainer's loggers."""
    return [logger for logger in trainer.loggers if isinstance(logger, MetricsTable)]


class _Writer(ExperimentWriter):
    def _check_log_dir_exists(self) -> None:
        """Lightning's writer deletes the table here."""

    def keep_rows_before(self, step: int) -> None:
        path = Path(self.metrics_file_path)
        if not path.exists():
            return
        table = _read(path)
        if table is None:
            set_aside(path)
            return
        columns, rows = table
        rows = [row for row in rows if int(row["step"]) < step]
        if rows:
            self.metrics_keys = columns
            _write(path, columns, rows)
        else:
            path.unlink()

    def _rewrite_with_new_header(self, fieldnames: list[str]) -> None:
        """As Lightning's, but a kill leaves the table that there was."""
        path = Path(self.metrics_file_path)
        with path.open(newline="") as file:
            rows = list(csv.DictReader(file))
        _write(path, fieldnames, rows)


def _read(path: Path) -> tuple[list[str], Rows] | None:
    """Columns and whole rows of a table; None when it is none."""
    try:
        text = path.read_text(encoding="utf-8")
        # What comes after the last line's end was cut off by a kill.
        text = text[: text.rfind("\n") + 1]
        table = csv.DictReader(text.splitlines(keepends=True))
        columns = list(table.fieldnames or [])
        rows = [row for row in table if None not in row and None not in row.values()]
        rows = [row for row in rows if row.get("step", "").isdecimal()]
    except (UnicodeDecodeError, IsADirectoryError, csv.Error):
        return None
    return (columns, rows) if "step" in columns or not text else None


def _write(path: Path, columns: Sequence[str], rows: Rows) -> None:
    with written_whole(path, "w", newline="") as file:
        writer = csv.DictWriter(file, columns)
        writer.writeheader()
        writer.writerows(rows)
