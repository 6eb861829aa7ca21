"""What is wrong with a command line is said in one line, before Hydra starts anything."""

import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import yaml
from hydra import compose, initialize_config_dir
from hydra.core.hydra_config import HydraConfig
from hydra.errors import (
    ConfigCompositionException,
    MissingConfigException,
    OverrideParseException,
)
from omegaconf import DictConfig, OmegaConf

from p2o.configuration.commandline import CommandLine, read_arguments
from p2o.configuration.early import early_problems
from p2o.configuration.files import CONFIG_NAME, conf_directory
from p2o.configuration.hydra_settings import check_hydra
from p2o.configuration.jobs import jobs_of
from p2o.configuration.misnamed import (
    bad_key,
    chosen_groups,
    missing_option,
    refuse_nothing,
    unreadable,
)
from p2o.configuration.sections import Section, Takes
from p2o.configuration.validation import refuse, section_problems
from p2o.errors import UserError


def check_overrides(
    arguments: Sequence[str],
    name: str = CONFIG_NAME,
    settings: type[Section] | None = None,
    inspect: Callable[[DictConfig], None] | None = None,
    early: bool = False,
) -> None:
    """Compose the configuration as Hydra would, to say in one line what is wrong with it.

    From here on modules in the working folder and beside that of ``--config-dir`` are found.

    Of a sweep the first jobs are looked at; then every value, with the first one of the other
    settings.

    Args:
        arguments: Of the command line.
        name: Of the primary configuration.
        settings: What its values have to fit; None looks at keys alone.
        inspect: What else each job has to pass.
        early: Whether only those values are looked at that need no torch for it; see
            `p2o.configuration.early`.

    Raises:
        UserError: A key, a group or one of its options does not exist, or a value does not fit.
    """
    line = read_arguments(arguments, name)
    if line.other:
        return
    bare = [a for a in line.settings if a.find("=") < 1 and not a.startswith("~")]
    if bare:
        raise UserError(f"'{bare[0]}' is no setting; write key=value, for example seed=1")
    if line.folder is not None and not line.folder.is_dir():
        raise UserError(f"--config-dir={line.folder}: no such folder (looked from {Path.cwd()})")
    _let_import(Path.cwd(), *([] if line.folder is None else [line.folder.resolve().parent]))
    with _in_one_line(line, line.settings):
        jobs = list(jobs_of(line))
    for job in jobs:
        refuse_nothing(job, line.folder)
        with _in_one_line(line, job):
            config = compose_config(job, line.name, line.folder)
            with as_running(config) as own:
                if settings is not None and early:
                    refuse(early_problems(own, settings))
                elif settings is not None:
                    refuse(section_problems(own, Takes(settings)))
                    check_hydra(config)
                if inspect is not None:
                    inspect(own)


@contextmanager
def _in_one_line(line: CommandLine, job: Sequence[str]) -> Iterator[None]:
    """Say what Hydra has against a command line in words that name the setting.

    Args:
        line: Of the command.
        job: Settings of the job that is looked at.

    Raises:
        UserError: Hydra has something against it.
    """
    try:
        yield
    except MissingConfigException as error:
        raise UserError(missing_option(error, line)) from error
    except (yaml.YAMLError, OSError) as error:
        if line.folder is None:
            raise
        raise UserError(f"--config-dir={line.folder}: {' '.join(str(error).split())}") from error
    except OverrideParseException as error:
        raise UserError(unreadable(str(error.override))) from error
    except ConfigCompositionException as error:
        known = compose_config(chosen_groups(job, line.folder), line.name, line.folder)
        raise UserError(bad_key(f"{error}\n{error.__cause__}", line, known)) from error
    # Hydra looks up variables that a job is to be given.
    except KeyError as error:
        raise UserError(f"hydra.job.env_copy: there is no variable {error}; set it") from error
    # Hydra's own, for a group that is given something other than a name.
    except ValueError as error:
        raise UserError(f"{' '.join(line.settings)}: {error}") from error


def _let_import(*folders: Path) -> None:
    """Let classes of the user's be found, behind everything that is installed."""
    sys.path += [str(folder) for folder in folders if str(folder) not in sys.path]


def compose_config(settings: Sequence[str], name: str, folder: Path | None = None) -> DictConfig:
    """The configuration of one job, with Hydra's own under ``hydra``.

    Args:
        settings: As on the command line.
        name: Of the primary configuration.
        folder: With more configuration files.
    """
    more = ["hydra.runtime.output_dir=."]
    if folder is not None:
        quoted = str(folder.resolve()).replace("'", "\\'")
        more.append(f"hydra.searchpath=['{quoted}']")
    with initialize_config_dir(version_base="1.3", config_dir=str(conf_directory())):
        return compose(name, overrides=[*more, *settings], return_hydra_config=True)


@contextmanager
def as_running(config: DictConfig) -> Iterator[DictConfig]:
    """The configuration of a job without Hydra's own, from which it can take values all the same.

    Args:
        config: See `compose_config`.
    """
    before = HydraConfig.instance().cfg
    HydraConfig.instance().set_config(config)
    try:
        yield without_hydra(config)
    finally:
        HydraConfig.instance().cfg = before


def without_hydra(config: DictConfig) -> DictConfig:
    """What `compose_config` gives, as a job gets it."""
    return OmegaConf.masked_copy(config, [key for key in map(str, config) if key != "hydra"])
