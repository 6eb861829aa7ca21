"""Guards that stop a run which more training would not save.

Each logs what it saw under ``collapse/`` and raises `TrainingCollapsed`, on all ranks at once. A
``ModelCheckpoint(save_on_exception=True)`` among the callbacks saves what there is.
"""

import logging
from typing import Any, NoReturn

import torch
from lightning.pytorch import Callback, LightningModule, Trainer
from torch import Tensor

from p2o_callbacks.errors import ConfigurationError, TrainingCollapsed
from p2o_callbacks.protocols import logging_step

logger = logging.getLogger(__name__)


class FiniteUpdates(Callback):
    """Stops before an update whose loss or gradient is not finite, so weights never are not.

    Under a gradient scaler (16-bit floats) only the loss is looked at: the scaler itself drops
    updates that overflow.

    Raises:
        TrainingCollapsed: In ``on_before_optimizer_step``.
    """

    def __init__(self) -> None:
        self._finite: Tensor | None = None

    def on_before_backward(
        self, trainer: Trainer, pl_module: LightningModule, loss: Tensor
    ) -> None:
        """Note, without waiting for the device, whether the loss is finite."""
        finite = loss.detach().isfinite().all()
        self._finite = finite if self._finite is None else self._finite & finite

    def on_before_optimizer_step(
        self, trainer: Trainer, pl_module: LightningModule, optimizer: torch.optim.Optimizer
    ) -> None:
        """Look at the losses since the last update and at the gradient."""
        loss_finite = self._finite is None or bool(self._finite)
        self._finite = None
        if getattr(trainer.precision_plugin, "scaler", None) is None:
            norm = gradient_norm(pl_module)
        else:
            norm = 0.0
        finite = loss_finite and norm - norm == 0
        if trainer.strategy.reduce_boolean_decision(not finite, all=False):
            what = f"a gradient norm of {norm}" if loss_finite else "a loss that is not finite"
            _stop(trainer, f"{what}; the weights are those before it", {"gradient_norm": norm})


class MetricBounds(Callback):
    """Stops when a metric that is logged every update leaves its bounds.

    It looks once after each update; micro-batches in between, and steps without an update, change
    nothing. A value that is not a number was not measured, and counts for nothing.

    Args:
        metric: Its name, such as ``train/entropy``.
        minimum: Lowest good value; None for no bound.
        maximum: Highest good value; None for no bound.
        patience: Updates in a row outside the bounds before the run is stopped.

    Raises:
        ConfigurationError: There are bounds, but nothing logs the metric; or no patience.
        TrainingCollapsed: In ``on_train_batch_end``.

    Example::

        Trainer(callbacks=[MetricBounds("train/entropy", minimum=0.01)])
    """

    def __init__(
        self,
        metric: str,
        minimum: float | None = None,
        maximum: float | None = None,
        patience: int = 1,
    ) -> None:
        _check_patience(patience)
        self.metric, self.minimum, self.maximum = metric, minimum, maximum
        self.patience = patience
        self._outside = self._updates = 0

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Take note of the updates made before."""
        self._updates = trainer.global_step

    @property
    def state_key(self) -> str:
        """One for each metric and its bounds, so that a trainer takes several of this class."""
        asked = {
            "metric": self.metric,
            "minimum": self.minimum,
            "maximum": self.maximum,
            "patience": self.patience,
        }
        return f"{type(self).__qualname__}{asked}"

    def on_train_batch_end(
        self,
        trainer: Trainer,
        pl_module: LightningModule,
        outputs: Any,
        batch: Any,
        batch_idx: int,
    ) -> None:
        """Compare the update's value."""
        if self.minimum is None and self.maximum is None:
            return
        if trainer.global_step == self._updates:
            return
        self._updates = trainer.global_step
        value = trainer.callback_metrics.get(self.metric)
        if value is None:
            raise ConfigurationError(f"nothing logs the metric {self.metric}")
        low = self.minimum is not None and value < self.minimum
        high = self.maximum is not None and value > self.maximum
        if not value.isnan():
            self._outside = self._outside + 1 if low or high else 0
        over = self._outside >= self.patience
        if trainer.strategy.reduce_boolean_decision(over, all=False):
            bounds = [
                f"{name} is {bound}"
                for name, bound in (("minimum", self.minimum), ("maximum", self.maximum))
                if bound is not None
            ]
            _stop(
                trainer,
                f"{self.metric} is {float(value):.4g}; its {' and its '.join(bounds)}",
                {self.metric.replace("/", "_"): float(value)},
            )

    def state_dict(self) -> dict[str, Any]:
        """A resumed run goes on counting steps outside the bounds."""
        return {"outside": self._outside}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take over what `state_dict` wrote."""
        self._outside = state_dict["outside"]


class ShareOfStart(Callback):
    """Stops when a metric of validation stays below a share of its first value.

    A value that is not a number was not measured, and counts for nothing.

    Args:
        metric: Its name.
        share: Of the first value, in [0, 1]; 0 never stops.
        least_start: First values below this say too little to compare with.
        patience: Validations in a row below the share before the run is stopped.

    Raises:
        ConfigurationError: `share` is outside [0, 1], or no patience.
        TrainingCollapsed: In ``on_validation_end``.
    """

    said = "started from"

    def __init__(
        self,
        metric: str = "val/accuracy",
        share: float = 0.5,
        least_start: float = 0.1,
        patience: int = 1,
    ) -> None:
        if not 0 <= share <= 1:
            raise ConfigurationError(f"share={share}: give a share of the start in [0, 1]")
        _check_patience(patience)
        self.metric, self.share, self.least_start = metric, share, least_start
        self.patience = patience
        self.start: float | None = None
        self._low = 0
        self._warned = False

    @property
    def state_key(self) -> str:
        """One for each metric and what is asked of it; see `MetricBounds.state_key`."""
        asked = {
            "metric": self.metric,
            "share": self.share,
            "least_start": self.least_start,
            "patience": self.patience,
        }
        return f"{type(self).__qualname__}{asked}"

    def compared_with(self, value: float) -> float:
        """What values are compared with from now on, a new one having come."""
        return value if self.start is None else self.start

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Keep what values are compared with, and compare."""
        value = trainer.callback_metrics.get(self.metric)
        if trainer.sanity_checking:
            return
        if value is None:
            self._warn_of_nothing(trainer)
            return
        if not value.isnan():
            self.start = self.compared_with(float(value))
            low = self.start >= self.least_start and float(value) < self.share * self.start
            self._low = self._low + 1 if low else 0
        if trainer.strategy.reduce_boolean_decision(self._low >= self.patience, all=False):
            # Another rank may be the one that has a start.
            _stop(
                trainer,
                f"{self.metric} is {float(value):.4g}, below {self.share:.0%} of the "
                f"{self.start or 0.0:.4g} it {self.said}",
                {self.metric.replace("/", "_"): float(value)},
            )

    def _warn_of_nothing(self, trainer: Trainer) -> None:
        """Say once that there is nothing to compare."""
        if not self._warned and trainer.is_global_zero:
            names = ", ".join(sorted(trainer.callback_metrics))
            logger.warning(
                "metric=%s: nothing logs it, so nothing is guarded; there are %s",
                self.metric,
                names,
            )
        self._warned = True

    def state_dict(self) -> dict[str, Any]:
        """A resumed run compares with the start of the whole."""
        return {"start": self.start, "low": self._low}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take over what `state_dict` wrote."""
        self.start, self._low = state_dict["start"], state_dict["low"]


class ShareOfBest(ShareOfStart):
    """Stops when a metric of validation stays below a share of its highest value so far.

    So it also stops a run that begins with nothing, learns, and loses what it has learned.

    Args:
        metric: Its name.
        share: Of the highest value, in [0, 1]; 0 never stops.
        least_start: Highest values below this say too little to compare with.
        patience: Validations in a row below the share before the run is stopped.

    Raises:
        ConfigurationError: `share` is outside [0, 1], or no patience.
        TrainingCollapsed: In ``on_validation_end``.
    """

    said = "had reached"

    def compared_with(self, value: float) -> float:
        """See `ShareOfStart.compared_with`."""
        return value if self.start is None else max(self.start, value)


def _check_patience(patience: int) -> None:
    if patience < 1:
        raise ConfigurationError(f"patience={patience}: give at least 1")


def gradient_norm(module: LightningModule) -> float:
    """Norm of all gradients, also of sharded ones."""
    gradients = [p.grad for p in module.parameters() if p.grad is not None]
    norm: Any = torch.nn.utils.get_total_norm(gradients)
    # Of sharded gradients it is a DTensor, whose parts are still to be added up.
    return float(norm.full_tensor() if hasattr(norm, "full_tensor") else norm)


def _stop(trainer: Trainer, what: str, values: dict[str, float]) -> NoReturn:
    metrics = {f"collapse/{name}": value for name, value in values.items()}
    for logger in trainer.loggers:
        logger.log_metrics(metrics, step=logging_step(trainer))
    raise TrainingCollapsed(f"training has collapsed after update {trainer.global_step}: {what}")
