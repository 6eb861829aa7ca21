"""What is wrong with a command line is said in one line, before Hydra starts anything."""

import argparse
import difflib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from hydra import compose, initialize_config_dir
from hydra.core.hydra_config import HydraConfig
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Glob, IntervalSweep, Override
from hydra.errors import (
    ConfigCompositionException,
    MissingConfigException,
    OverrideParseException,
)
from omegaconf import DictConfig, OmegaConf

from p2o.config import CONFIG_NAME, conf_directory
from p2o.errors import UserError
from p2o.sections import Section, Takes
from p2o.validation import refuse, section_problems


@dataclass(frozen=True)
class CommandLine:
    """What Hydra is told.

    Attributes:
        settings: ``key=value``, and the like.
        name: Of the primary configuration.
        folder: With more configuration files.
        sweep: Whether settings may have several values.
        other: Whether Hydra is asked for something else than jobs of p2o's configuration.
    """

    settings: Sequence[str]
    name: str
    folder: Path | None = None
    sweep: bool = False
    other: bool = False


def read_arguments(arguments: Sequence[str], name: str) -> CommandLine:
    """Take the command line apart as Hydra does."""
    parser = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    parser.add_argument("settings", nargs="*")
    for flag, short in (("--multirun", "-m"), ("--help", "-h"), ("--hydra-help", "-hh")):
        parser.add_argument(flag, short, action="store_true")
    parser.add_argument("--shell-completion", "-sc", action="store_true")
    for flag, short in (("--config-dir", "-cd"), ("--config-path", "-cp"), ("--package", "-p")):
        parser.add_argument(flag, short)
    parser.add_argument("--config-name", "-cn", default=name)
    parser.add_argument("--cfg", "-c")
    parser.add_argument("--info", "-i", nargs="?", const="all")
    parser.add_argument("--experimental-rerun")
    found, _ = parser.parse_known_intermixed_args(arguments)
    asked = found.help or found.hydra_help or found.shell_completion or found.info
    return CommandLine(
        found.settings,
        found.config_name.removesuffix(".yaml"),
        None if found.config_dir is None else Path(found.config_dir),
        found.multirun or "hydra.mode=MULTIRUN" in found.settings,
        bool(asked or found.config_path or found.experimental_rerun),
    )


def check_overrides(
    arguments: Sequence[str], name: str = CONFIG_NAME, settings: type[Section] | None = None
) -> None:
    """Compose the configuration as Hydra would, to say in one line what is wrong with it.

    Of a sweep every value is looked at, with the first one of the other settings.

    Args:
        arguments: Of the command line.
        name: Of the primary configuration.
        settings: What its values have to fit; None looks at keys alone.

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
    try:
        for job in _jobs(line):
            config = compose_config(job, line.name, line.folder)
            if settings is not None:
                with as_running(config) as own:
                    refuse(section_problems(own, Takes(settings)))
    except MissingConfigException as error:
        raise UserError(_missing_option(error, line)) from error
    except OverrideParseException as error:
        raise UserError(f"cannot read '{error.override}': write key=value") from error
    except ConfigCompositionException as error:
        raise UserError(_bad_key(str(error), line)) from error
    # Hydra's own, for a group that is given something other than a name.
    except ValueError as error:
        raise UserError(f"{' '.join(line.settings)}: {error}") from error


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


def _jobs(line: CommandLine) -> Iterator[list[str]]:
    """Settings of the first job, and of those that differ from it in one setting."""
    if not line.sweep:
        yield list(line.settings)
        return
    values = [list(_values(o)) for o in OverridesParser.create().parse_overrides([*line.settings])]
    first = [value[0] for value in values if value]
    yield first
    place = 0
    for value in values:
        for other in value[1:]:
            yield [*first[:place], other, *first[place + 1 :]]
        place += bool(value)


def _values(override: Override) -> Iterator[str]:
    """The settings that a sweep over one makes; of an interval its ends."""
    key, swept = override.get_key_element(), override.value()
    if isinstance(swept, IntervalSweep):
        yield from (f"{key}={end}" for end in (swept.start, swept.end))
    # Hydra alone knows what a pattern matches.
    elif override.is_discrete_sweep() and not isinstance(swept, Glob):
        yield from (f"{key}={value}" for value in override.sweep_string_iterator())
    elif not override.is_sweep_override():
        yield str(override.input_line)


def _missing_option(error: MissingConfigException, line: CommandLine) -> str:
    missing, options = str(error.missing_cfg_file), list(error.options or [])
    group, _, option = missing.rpartition("/")
    if not options:
        options = sorted(path.stem for path in (conf_directory() / group).glob("*.yaml"))
    return f"{group}={option}: no such option; there are {', '.join(options)}"


def _bad_key(message: str, line: CommandLine) -> str:
    first = message.splitlines()[0]
    keys = [setting.partition("=")[0].lstrip("+~") for setting in line.settings]
    key = next((key for key in keys if f"'{key}'" in first), None)
    if key is None:
        return first
    known = list(_keys(without_hydra(compose_config([], line.name, line.folder))))
    groups = [path.name for path in conf_directory().iterdir() if path.is_dir()]
    leaf = key.rpartition(".")[2]
    elsewhere = [other for other in known if other.rpartition(".")[2] == leaf]
    close = elsewhere[:3] or difflib.get_close_matches(key, sorted({*known, *groups}))
    hint = f"did you mean {', '.join(close)}?" if close else f"see p2o-{line.name} --cfg job"
    return f"{key}: no such key; {hint}"


def _keys(node: DictConfig, prefix: str = "") -> Sequence[str]:
    keys: list[str] = []
    for name in map(str, node):
        path = f"{prefix}{name}"
        keys.append(path)
        if not OmegaConf.is_missing(node, name) and not OmegaConf.is_interpolation(node, name):
            child = node[name]
            if isinstance(child, DictConfig):
                keys += _keys(child, f"{path}.")
    return keys
