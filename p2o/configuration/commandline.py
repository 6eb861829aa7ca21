"""What a command line asks of Hydra, taken apart as Hydra does."""

import argparse
import re
import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from p2o.errors import UserError


@dataclass(frozen=True)
class CommandLine:
    """What Hydra is told.

    Attributes:
        settings: ``key=value``, and the like.
        name: Of the primary configuration.
        folder: With more configuration files.
        sweep: Whether settings may have several values.
        other: Whether Hydra is asked for something else than jobs of p2o's configuration.
        asks: Whether Hydra is asked to tell something, and no job is to be done.
    """

    settings: Sequence[str]
    name: str
    folder: Path | None = None
    sweep: bool = False
    other: bool = False
    asks: bool = False


def read_arguments(arguments: Sequence[str], name: str) -> CommandLine:
    """Take the command line apart as Hydra does.

    Args:
        arguments: Of the command line.
        name: Of the primary configuration.

    Raises:
        UserError: Hydra would not take these flags, or not in this order.
    """
    parser = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    parser.add_argument("settings", nargs="*")
    for flag, short in (("--multirun", "-m"), ("--help", "-h"), ("--hydra-help", "-hh")):
        parser.add_argument(flag, short, action="store_true")
    parser.add_argument("--run", "-r", action="store_true")
    parser.add_argument("--shell-completion", "-sc", action="store_true")
    for flag, short in (("--config-dir", "-cd"), ("--config-path", "-cp"), ("--package", "-p")):
        parser.add_argument(flag, short)
    parser.add_argument("--config-name", "-cn", default=name)
    parser.add_argument("--cfg", "-c")
    parser.add_argument("--info", "-i", nargs="?", const="all")
    parser.add_argument("--experimental-rerun")
    found, _ = parser.parse_known_intermixed_args(arguments)
    if found.run and found.multirun:
        raise UserError("--run with --multirun: give one of them")
    again = found.experimental_rerun
    if again is not None and not (Path(again).suffix == ".pickle" and Path(again).is_file()):
        raise UserError(
            f"--experimental-rerun={again}: no such pickled job; resume=auto hydra.run.dir=FOLDER "
            "goes on with a run"
        )
    # Hydra takes settings that stand together.
    apart = [left for left in parser.parse_known_args(arguments)[1] if left in found.settings]
    if apart:
        raise UserError(f"'{apart[0]}' stands apart from other settings; put them all behind flags")
    asked = found.help or found.hydra_help or found.shell_completion or found.info
    return CommandLine(
        found.settings,
        found.config_name.removesuffix(".yaml"),
        None if found.config_dir is None else Path(found.config_dir),
        found.multirun or "hydra.mode=MULTIRUN" in found.settings,
        bool(asked or found.config_path or found.experimental_rerun),
        bool(asked or found.cfg),
    )


def written(key: str, value: str) -> str:
    r"""A setting as one word of a shell, whatever signs are in its value.

    Example::

        >>> written("hydra.run.dir", "runs/mine")
        'hydra.run.dir=runs/mine'
        >>> written("hydra.sweep.dir", "my runs/a,b")
        '\'hydra.sweep.dir="my runs/a,b"\''
    """
    if not re.fullmatch(r"[\w./:+-]+", value):
        # A backslash is one unless it stands before a quote; so are those at the end.
        escaped = re.sub(
            r'(\\*)("|$)', lambda found: found[1] * 2 + found[2].replace('"', '\\"'), value
        )
        value = f'"{escaped}"'
    return shlex.quote(f"{key}={value}")
