"""The work of ``p2o-data``: load prompts as a run would, and show them or compare them."""

import argparse
import json
import logging
import sys
from collections.abc import Sequence
from pathlib import Path

from omegaconf import DictConfig

from p2o.cli.arguments.data import parser
from p2o.cli.assembly import make_renderer, make_verifier
from p2o.cli.checks import check
from p2o.cli.inspection import WIDTH, print_inspection, print_overlaps
from p2o.cli.preparation import prepare
from p2o.cli.program import expected_errors
from p2o.cli.sampling import make_sampling
from p2o.cli.settings import TrainSettings
from p2o.configuration.build import CONFIG_NAME, build
from p2o.configuration.overrides import (
    as_running,
    check_overrides,
    compose_config,
    without_hydra,
)
from p2o.data.contamination import Contamination, Overlap, find_overlaps
from p2o.errors import UserError, located
from p2o.policy.models import load_configuration, load_tokenizer
from p2o.rollout.hf import position_limit
from p2o.running.console import ended_by_interrupt, quieten_libraries
from p2o.running.terminal import Terminal


def inspect(config: DictConfig, console: Terminal) -> None:
    """Show the prompts of a run.

    Raises:
        UserError: ``p2o-train`` would refuse them, too.
    """
    path, options = config.model.path, config.model.get("options")
    with located("model"):
        tokenizer = load_tokenizer(path, options)
    renderer = make_renderer(config, tokenizer)
    with located("model"):
        own = position_limit(load_configuration(path, options))
    # An engine may be told a limit besides the model's own.
    make_sampling(config, tokenizer, config.rollout.get("max_length") or own)
    split = prepare(config, renderer, make_verifier(config).verifier)
    print_inspection(split, renderer, console)


def contamination(config: DictConfig, console: Terminal, output: Path | None = None) -> None:
    """Show which training questions are in a benchmark.

    Args:
        config: Of ``p2o-train``.
        console: Where to.
        output: A file for all of them, one JSON object a line.

    Raises:
        UserError: The data cannot be had, or no benchmark.
    """
    what: Contamination | None = build(config.data.get("contamination"), "data.contamination")
    if what is None:
        raise UserError(
            "data.contamination: no benchmark to compare with; add one, data/contamination=paper"
        )
    source = build(config.data.source, "data.source")
    with located("data.source"):
        train = source.load(config.seed).train
    benchmarks = what.benchmarks()
    found = find_overlaps(train, benchmarks, what.words, what.share)
    print_overlaps(train, benchmarks, found, console)
    if output is not None:
        lines = "".join(json.dumps(_record(overlap)) + "\n" for overlap in found)
        try:
            output.write_text(lines)
        except OSError as error:
            raise UserError(f"--output={output}: cannot be written ({error})") from error


def _record(overlap: Overlap) -> dict[str, object]:
    return {
        "benchmark": overlap.benchmark,
        "share": overlap.share,
        "exact": overlap.exact,
        "train_id": overlap.prompt.id,
        "train": overlap.prompt.question,
        "question_id": overlap.question.id,
        "question": overlap.question.question,
    }


def compose_run(overrides: Sequence[str], folder: Path | None) -> DictConfig:
    """The configuration of ``p2o-train``.

    Args:
        overrides: Settings, ``key=value``.
        folder: With configuration files besides p2o's own.

    Raises:
        UserError: There is no such folder, key, group or option, or values do not fit each other.
    """
    flags = [] if folder is None else [f"--config-dir={folder}"]
    check_overrides([*overrides, *flags], CONFIG_NAME, TrainSettings)
    composed = compose_config(overrides, CONFIG_NAME, folder)
    with as_running(composed) as config:
        check(config)
    return without_hydra(composed)


@ended_by_interrupt
def start(arguments: argparse.Namespace) -> None:
    """What ``p2o-data`` does with what it was given."""
    console = Terminal(width=WIDTH)
    logging.basicConfig(level=logging.WARNING, format="%(message)s", stream=sys.stdout)
    quieten_libraries()
    with expected_errors():
        config = compose_run(arguments.overrides, arguments.config_dir)
        if arguments.command == "inspect":
            inspect(config, console)
        else:
            contamination(config, console, arguments.output)


def main() -> None:
    """The same for the arguments of this process."""
    start(parser().parse_args())


if __name__ == "__main__":
    main()
