"""``p2o-show``: what a run learned, in the terminal.

It answers three questions: what did it learn to say, which problems did that unlock, and do they
still need it? For example:

  p2o-show runs/default/TIME
  p2o-show runs/default/TIME problem 4f2a         the life of a problem; ids may be shortened
  p2o-show runs/default/TIME problem 4f2a --all   with every rollout, in full
  p2o-show runs/default/TIME hint 9c01            a hint, its parents, and what its writer was asked
                                                  and answered
  p2o-show runs/default/TIME wrong                what it still gets wrong without a hint

Epochs are counted from 0, as in the files of a run.
"""

import argparse
from importlib.metadata import version
from pathlib import Path


def parser() -> argparse.ArgumentParser:
    """Of ``p2o-show``."""
    made = argparse.ArgumentParser(
        prog="p2o-show",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    made.add_argument("run", metavar="RUN", type=Path, help="run directory of p2o-train")
    made.add_argument(
        "kind",
        nargs="?",
        choices=["problem", "hint", "wrong"],
        help="what to show; the run when left out",
    )
    made.add_argument("start", metavar="ID", nargs="?", default="", help="how its id begins")
    made.add_argument(
        "--all", dest="everything", action="store_true", help="every rollout, in full"
    )
    made.add_argument("--version", action="version", version=f"%(prog)s {version('p2o-rl')}")
    return made
