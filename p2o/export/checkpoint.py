"""Which checkpoint of a run is meant."""

from pathlib import Path

from p2o.errors import UserError


def find_checkpoint(run: Path, name: str) -> Path:
    """A checkpoint by its name in a run's folder, or by its path.

    Raises:
        UserError: There is none; names those there are.
    """
    folder = run / "checkpoints"
    for path in (folder / name, Path(name)):
        if path.exists():
            return path
    there = ", ".join(sorted(path.name for path in folder.glob("*.ckpt") if path.exists()))
    raise UserError(f"--checkpoint={name}: no such checkpoint; there are {there or 'none'}")
