"""``p2o-pool``: the hints that a run has found, for other runs, models and projects.

  p2o-pool show runs/mine
  p2o-pool diff runs/mine runs/yours/evolution/pool.json
  p2o-pool export runs/mine > hint.txt
  p2o-pool export runs/mine --to gepa --component instructions --output seed.json
  p2o-pool export runs/mine --to dspy --program program.json --output better.json
  p2o-pool apply runs/mine prompts.jsonl --column question --output hinted.jsonl
  p2o-train evolution.evolver.seed_pool=runs/mine/evolution/pool.json

A POOL is a pool.json, or the folder of a run that has ended.
"""

import argparse
from importlib.metadata import version
from pathlib import Path


def parser() -> argparse.ArgumentParser:
    """Of ``p2o-pool``."""
    whole = argparse.ArgumentParser(
        prog="p2o-pool",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    commands = whole.add_subparsers(dest="command", required=True, metavar="COMMAND")

    def command(name: str, text: str) -> argparse.ArgumentParser:
        made = commands.add_parser(name, help=text, description=text)
        made.add_argument("pool", type=Path, metavar="POOL", help="a pool.json, or a run's folder")
        return made

    shown = command("show", "the hints in use, with their scores")
    shown.add_argument("--all", action="store_true", help="those that are not in use as well")
    compared = command("diff", "what two pools have in common, and what not")
    compared.add_argument("other", type=Path, metavar="OTHER", help="the second pool")
    exported = command("export", "one hint as plain text, for gepa or for DSPy")
    exported.add_argument("--to", choices=("text", "gepa", "dspy"), default="text")
    exported.add_argument("--component", default="template", help="gepa: name of the text")
    exported.add_argument("--program", type=Path, help="dspy: a saved program")
    exported.add_argument("--predictor", help="dspy: the one to change; all when left out")
    applied = command("apply", "a hint in front of every prompt of a file, as JSON lines")
    applied.add_argument("prompts", type=Path, metavar="PROMPTS", help="json, jsonl, csv, parquet")
    applied.add_argument("--column", default="prompt", help="with the text or the messages")
    for each in (exported, applied):
        each.add_argument("--hint", metavar="ID", help="its id, or how it begins; else the best")
        each.add_argument("--output", type=Path, help="a file; standard output when left out")
    whole.add_argument("--version", action="version", version=f"%(prog)s {version('p2o-rl')}")
    return whole
