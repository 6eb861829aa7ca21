"""All ranks go on from one checkpoint, or none does."""

from pathlib import Path
from typing import Any

from lightning.pytorch import Callback, LightningModule, Trainer

from p2o.errors import UserError
from p2o.running.checkpoint_files import read_header
from p2o.running.distributed import gather


class SameCheckpoint(Callback):
    """Compares what ranks have chosen, once they know each other and before it is taken over.

    Each has looked for itself, and a shared folder may show different files to two machines for a
    while. One that finds none would evaluate while the others train, and all would wait for ever.

    Args:
        path: What this rank goes on from; None for a new run.
    """

    def __init__(self, path: Path | None) -> None:
        self._choice = "no checkpoint"
        if path is not None:
            self._choice = f"{path} with {read_header(path)['global_step']} updates"

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Compare; collective.

        Raises:
            UserError: On every rank; names two that differ.
        """
        choices: list[Any] = gather(self._choice)
        for rank, choice in enumerate(choices):
            if choice != choices[0]:
                raise UserError(
                    f"rank 0 goes on from {choices[0]}, rank {rank} from {choice}; start again "
                    "when all machines see the same files"
                )
