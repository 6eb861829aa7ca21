r"""``p2o-data``: look at the data of a run before it is started.

  p2o-data inspect data=gsm8k model.path=Qwen/Qwen3-4B
  p2o-data inspect experiment=own_file verifier=numeric data.source.path=rows.jsonl \
      data.source.question=text data.source.answer=label
  p2o-data contamination data=math data_root=path/to/data
  p2o-data contamination data=svamp data/contamination=gsm8k --output found.jsonl

Settings are those of p2o-train, all of them: what is shown is what it would train on.
"""

import argparse
import json
import logging
import sys
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path

from omegaconf import DictConfig

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

HELP = {
    "inspect": "how many prompts, how long, what is left out and why, and three as they are read",
    "contamination": "training questions that are in the benchmarks of data/contamination=...",
}


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
def main() -> None:
    """Entry point of ``p2o-data``."""
    parser = argparse.ArgumentParser(
        prog="p2o-data",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for name, text in HELP.items():
        command = commands.add_parser(name, help=text, description=text)
        command.add_argument("overrides", nargs="*", metavar="KEY=VALUE", help="as of p2o-train")
        command.add_argument("--config-dir", type=Path, help="folder with yaml files of yours")
        if name == "contamination":
            command.add_argument("--output", type=Path, help="write all of them, as JSON lines")
    parser.add_argument("--version", action="version", version=f"%(prog)s {version('p2o-rl')}")
    arguments = parser.parse_args()
    console = Terminal(width=WIDTH)
    logging.basicConfig(level=logging.WARNING, format="%(message)s", stream=sys.stdout)
    quieten_libraries()
    with expected_errors():
        config = compose_run(arguments.overrides, arguments.config_dir)
        if arguments.command == "inspect":
            inspect(config, console)
        else:
            contamination(config, console, arguments.output)


if __name__ == "__main__":
    main()
