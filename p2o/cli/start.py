"""What the commands do before anything is imported that takes seconds: help, and what is amiss."""

import argparse
import importlib
import sys
from collections.abc import Callable
from importlib.metadata import version

import hydra
from omegaconf import DictConfig

from p2o.bench.settings import BenchSettings
from p2o.cli.absent import (
    refuse_absent_in_data,
    refuse_absent_in_diagnosis,
    refuse_absent_in_evaluation,
    refuse_absent_in_training,
)
from p2o.cli.arguments.data import parser as of_data
from p2o.cli.arguments.doctor import parser as of_doctor
from p2o.cli.arguments.export import parser as of_export
from p2o.cli.light import light_command
from p2o.cli.settings import EvalSettings, TrainSettings
from p2o.configuration.commandline import read_arguments
from p2o.configuration.files import CONFIG_NAME, conf_directory
from p2o.configuration.overrides import check_overrides
from p2o.configuration.sections import Section


def train() -> None:
    """Entry point of ``p2o-train``."""
    _start("train", TrainSettings, refuse_absent_in_training)


def evaluate() -> None:
    """Entry point of ``p2o-eval``."""
    _start("eval", EvalSettings, refuse_absent_in_evaluation)


def bench() -> None:
    """Entry point of ``p2o-bench``."""
    _start("bench", BenchSettings)


def data() -> None:
    """Entry point of ``p2o-data``."""
    _go_on("data", of_data().parse_args(), refuse_absent_in_data)


def doctor() -> None:
    """Entry point of ``p2o-doctor``."""
    _go_on("doctor", of_doctor().parse_intermixed_args(), refuse_absent_in_diagnosis)


def export() -> None:
    """Entry point of ``p2o-export``."""
    _go_on("export", of_export().parse_args())


def _go_on(
    name: str, arguments: argparse.Namespace, inspect: Callable[[DictConfig], None] | None = None
) -> None:
    """Check settings, if there are any, and start a program."""
    with light_command():
        if "overrides" in arguments:
            folder = arguments.config_dir
            flags = [] if folder is None else [f"--config-dir={folder}"]
            line = [*arguments.overrides, *flags]
            check_overrides(line, CONFIG_NAME, TrainSettings, inspect, early=True)
        program = importlib.import_module(f"p2o.cli.{name}")
    program.start(arguments)


def _start(
    name: str, settings: type[Section], inspect: Callable[[DictConfig], None] | None = None
) -> None:
    arguments = sys.argv[1:]
    if "--version" in arguments:
        print(f"p2o-{name} {version('p2o-rl')}")
        return
    with light_command():
        asks = read_arguments(arguments, name).asks
        if asks:
            check_overrides(arguments, name)
        else:
            check_overrides(arguments, name, settings, inspect, early=True)
        # Takes seconds, in each rank.
        program = None if asks else importlib.import_module(f"p2o.cli.{name}")
    if program is None:
        # Hydra answers itself, and calls nothing.
        hydra.main(version_base="1.3", config_path=str(conf_directory()), config_name=name)(print)()
        return
    program.main()
