"""``metrics.csv``, with one history however often a run was stopped."""

import csv
from pathlib import Path
from typing import Any

from lightning.fabric.loggers.logger import rank_zero_experiment
from lightning.pytorch.loggers import CSVLogger
from lightning.pytorch.loggers.csv_logs import ExperimentWriter
from lightning.pytorch.utilities import rank_zero_only

from p2o.files import written_whole
from p2o.hints import Count


class MetricsTable(CSVLogger):
    """Lightning's CSV logger, which goes on with the table of a run resumed in the same folder.

    Rows from the step of the first new row on are those of work that was lost and is done again.

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

    @rank_zero_only
    def log_metrics(self, metrics: Any, step: int | None = None) -> None:
        """Add a row."""
        if not self._begun and step is not None:
            self._begun = True
            self.experiment.keep_rows_before(step)
        super().log_metrics(metrics, step)


class _Writer(ExperimentWriter):
    def _check_log_dir_exists(self) -> None:
        """Lightning's writer deletes the table here."""

    def keep_rows_before(self, step: int) -> None:
        path = Path(self.metrics_file_path)
        if not path.is_file():
            return
        with path.open(newline="") as file:
            table = csv.DictReader(file)
            rows = [row for row in table if int(row["step"]) < step]
            self.metrics_keys = list(table.fieldnames or [])
        if not rows:
            self.metrics_keys = []
            path.unlink()
            return
        with written_whole(path, "w", newline="") as file:
            writer = csv.DictWriter(file, self.metrics_keys)
            writer.writeheader()
            writer.writerows(rows)
