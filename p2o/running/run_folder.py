"""The folder of a run: writable, of one run at a time, and with a record of how that was made."""

import fcntl
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from hydra.core.hydra_config import HydraConfig
from hydra.experimental.callback import Callback
from omegaconf import DictConfig, OmegaConf

from p2o.errors import FolderTaken
from p2o.running.distributed import starting_rank
from p2o.running.files import written_whole
from p2o.running.secrets import hiding

LOCK = ".lock"
RECORD = ".hydra"
OF_SWEEP = {LOCK, "multirun.yaml"}
"""What Hydra and `WritableFolder` put into the folder of a sweep before its first job."""


@contextmanager
def one_run_in(folder: Path) -> Iterator[None]:
    """Keep other runs out of a folder until this one ends, however it ends; rank 0 does.

    Raises:
        FolderTaken: Another run is at work in it.
    """
    if starting_rank() != 0:
        yield
        return
    with (folder / LOCK).open("a+") as file:
        try:
            # The kernel gives it back when the process dies, and no child inherits it.
            fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            file.seek(0)
            raise FolderTaken(
                f"{folder}: another run is at work here (process {file.read().strip() or '?'}); "
                "stop it first"
            ) from error
        file.truncate(0)
        file.write(f"{os.getpid()}\n")
        file.flush()
        yield


def leave_nothing(folder: Path) -> None:
    """Remove the folder of a run that never began, if nothing but a lock and a log is in it.

    Folders above it that are empty then go as well, up to the working folder; that of a sweep
    without a job left is one of them.
    """
    if starting_rank() != 0 or not folder.is_dir():
        return
    try:
        with one_run_in(folder):
            found = list(folder.iterdir())
            if any(path.name != LOCK and path.suffix != ".log" for path in found):
                return
            for path in found:
                path.unlink()
            folder.rmdir()
        for above in folder.resolve().parents:
            if Path.cwd() in above.parents:
                left = list(above.iterdir())
                if {path.name for path in left} <= OF_SWEEP:
                    for path in left:
                        path.unlink()
                above.rmdir()
    # Another run is at work there, or something else is in one of the folders.
    except (FolderTaken, OSError):
        return


def record_configuration(folder: Path, config: DictConfig) -> None:
    """Write down how a run is made, where Hydra would: not before the run has been accepted.

    A restart that is refused leaves the record of the run that was there. Keys that were given in
    clear are left out.
    """
    if starting_rank() != 0:
        return
    hydra: Any = HydraConfig.instance().cfg
    hidden = hiding(config, hydra)
    (folder / RECORD).mkdir(exist_ok=True)
    for name, content in (
        ("config", config),
        ("hydra", OmegaConf.masked_copy(hydra, "hydra")),
        ("overrides", hydra.hydra.overrides.task),
    ):
        with written_whole(folder / RECORD / f"{name}.yaml", "w", encoding="utf-8") as file:
            file.write(OmegaConf.to_yaml(hidden(OmegaConf.to_container(content))))


class WritableFolder(Callback):
    """Hydra's first act is to make the folder; says in one line when that will not work."""

    def on_run_start(self, config: DictConfig, **kwargs: Any) -> None:
        """Look at the folder of a run."""
        self._check(config, "run")

    def on_multirun_start(self, config: DictConfig, **kwargs: Any) -> None:
        """Look at the folder of a sweep."""
        self._check(config, "sweep")

    def _check(self, config: DictConfig, kind: str) -> None:
        HydraConfig.instance().set_config(config)
        folder = Path(config.hydra[kind].dir)
        try:
            folder.mkdir(parents=True, exist_ok=True)
            with (folder / LOCK).open("a"):
                pass
        except OSError as error:
            print(
                f"error: hydra.{kind}.dir={folder}: cannot be written ({error.strerror}); make "
                "room there, or give another",
                file=sys.stderr,
            )
            sys.exit(2)
