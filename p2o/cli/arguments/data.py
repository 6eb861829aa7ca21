r"""``p2o-data``: look at the data of a run before it is started.

  p2o-data inspect data=gsm8k model.path=Qwen/Qwen3-4B
  p2o-data inspect experiment=own_file verifier=numeric data.source.path=rows.jsonl \
      data.source.question=text data.source.answer=label
  p2o-data contamination data=math data_root=path/to/data
  p2o-data contamination data=svamp data/contamination=gsm8k --output found.jsonl

Settings are those of p2o-train, all of them: what is shown is what it would train on.
"""

import argparse
from importlib.metadata import version
from pathlib import Path

HELP = {
    "inspect": "how many prompts, how long, what is left out and why, and three as they are read",
    "contamination": "training questions that are in the benchmarks of data/contamination=...",
}


def parser() -> argparse.ArgumentParser:
    """Of ``p2o-data``."""
    made = argparse.ArgumentParser(
        prog="p2o-data",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    commands = made.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for name, text in HELP.items():
        command = commands.add_parser(name, help=text, description=text)
        command.add_argument("overrides", nargs="*", metavar="KEY=VALUE", help="as of p2o-train")
        command.add_argument("--config-dir", type=Path, help="folder with yaml files of yours")
        if name == "contamination":
            command.add_argument("--output", type=Path, help="write all of them, as JSON lines")
    made.add_argument("--version", action="version", version=f"%(prog)s {version('p2o-rl')}")
    return made
