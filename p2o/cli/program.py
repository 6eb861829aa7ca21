"""How every program begins and ends: its version, its settings, one line for an error, a status."""

import faulthandler
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path
from typing import Any

import hydra
from hydra.core.hydra_config import HydraConfig
from hydra.types import RunMode
from omegaconf import DictConfig
from torch.distributed.checkpoint.api import CheckpointException

from p2o.configuration.build import USER_ERRORS, conf_directory
from p2o.configuration.commandline import read_arguments, written
from p2o.configuration.overrides import check_overrides
from p2o.configuration.sections import Section
from p2o.errors import EngineError, FolderTaken, PeerError, UserError, spelled_out
from p2o.running.distributed import starting_rank
from p2o.running.files import why_not_written
from p2o.running.preemption import Preempted
from p2o.running.run_folder import RECORD
from p2o.running.terminal import print_error
from p2o.verifiers import TooManyFailures
from p2o_callbacks import TrainingCollapsed

REFUSED, COLLAPSED, ENGINE_LOST = 2, 3, 4
"""Exit statuses: what the user gave cannot work, a guard stopped the run, an engine is gone."""
SWEEP = "hydra.sweep.dir"


def run_program(
    name: str,
    config_name: str,
    settings: type[Section],
    run: Callable[[DictConfig], Any],
    inspect: Callable[[DictConfig], None] | None = None,
) -> None:
    """Run a program whose settings Hydra composes of its command line.

    Args:
        name: Of the program.
        config_name: The primary configuration.
        settings: What its values have to fit.
        run: Does the work of one configuration.
        inspect: Looks at each job of a sweep before the first is started.
    """
    if "--version" in sys.argv[1:]:
        print(f"{name} {version('p2o-rl')}")
        return
    # A crash below Python, as in a kernel or a collective, says in which line of which thread.
    if not faulthandler.is_enabled():
        faulthandler.enable()
    with expected_errors():
        arguments = sys.argv[1:]
        sweep = read_arguments(arguments, config_name).sweep
        check_overrides(arguments, config_name, settings, inspect if sweep else None)
    hydra.main(version_base="1.3", config_path=str(conf_directory()), config_name=config_name)(
        run
    )()


@contextmanager
def expected_errors(
    folder: Path | None = None, way_on: str = "", place: str | None = None
) -> Iterator[None]:
    """Say an expected error in one line, and end the program with the status that stands for it.

    Args:
        folder: Of a run that can go on from there; None where there is none.
        way_on: What to say about going on after a signal, where no folder is given.
        place: The key that gives the program's folder; Hydra's own when left out.

    Raises:
        SystemExit: An error was expected; any other is passed on.
    """
    try:
        yield
    except TooManyFailures as error:
        _end(UserError(spelled_out(str(error), "max_error_share", "verifier_guard")), REFUSED)
    except FolderTaken as error:
        _end(UserError(f"{error}, or give another {place or _place()}"), REFUSED)
    except USER_ERRORS as error:
        _end(error, REFUSED)
    except TrainingCollapsed as error:
        _end(error, COLLAPSED)
    except EngineError as error:
        _end(error, ENGINE_LOST)
    except PeerError as error:
        more = "" if folder is None else f"; {_going_on(folder)}"
        _end(PeerError(f"{error}{more}"), 1)
    except Preempted as stopped:
        if starting_rank() == 0:
            # Without a record nothing has begun, and the folder goes.
            begun = folder is not None and (folder / RECORD).exists()
            more = _going_on(folder) if folder is not None and begun else way_on
            print("; ".join(filter(None, [str(stopped), more])), file=sys.stderr)
        sys.exit(stopped.status)
    # CheckpointException is no Exception.
    except (Exception, CheckpointException) as error:
        why = None if folder is None else why_not_written(error, folder)
        if folder is None or why is None:
            raise
        _end(UserError(f"{folder}: {why}; make room, and {_going_on(folder)}"), REFUSED)


def _end(error: Exception, status: int) -> None:
    print_error(error)
    sys.exit(status)


def _going_on(folder: Path) -> str:
    return f"resume=auto {place_setting(folder)} goes on"


def place_setting(folder: Path) -> str:
    """The setting that names the folder of a run, or of the sweep that it is of, for a shell."""
    place = _place()
    where = Path(HydraConfig.get().sweep.dir) if place == SWEEP else folder
    return written(place, str(where.resolve()))


def _place() -> str:
    return SWEEP if HydraConfig.get().mode == RunMode.MULTIRUN else "hydra.run.dir"
