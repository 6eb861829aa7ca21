"""What the commands do before anything is imported that takes seconds: help, and wrong keys."""

import importlib
import sys
from importlib.metadata import version

import hydra

from p2o.cli.light import light_command
from p2o.configuration.commandline import read_arguments
from p2o.configuration.files import conf_directory
from p2o.configuration.overrides import check_overrides


def train() -> None:
    """Entry point of ``p2o-train``."""
    _start("train")


def evaluate() -> None:
    """Entry point of ``p2o-eval``."""
    _start("eval")


def _start(name: str) -> None:
    arguments = sys.argv[1:]
    if "--version" in arguments:
        print(f"p2o-{name} {version('p2o-rl')}")
        return
    with light_command():
        check_overrides(arguments, name)
        asks = read_arguments(arguments, name).asks
        # Takes seconds, in each rank.
        program = None if asks else importlib.import_module(f"p2o.cli.{name}")
    if program is None:
        # Hydra answers itself, and calls nothing.
        hydra.main(version_base="1.3", config_path=str(conf_directory()), config_name=name)(print)()
        return
    program.main()
