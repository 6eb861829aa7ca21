"""``p2o-export``: a Hugging Face folder from any checkpoint of a training run.

The checkpoint is one file, or a folder of shards that several ranks wrote. For example:

  p2o-export runs/default/TIME
  p2o-export runs/default/TIME --checkpoint epoch_0003.ckpt --output policy_3 --dtype bfloat16
  p2o-export runs/default/TIME --push OWNER/NAME --private
"""

import argparse
from importlib.metadata import version
from pathlib import Path


def parser() -> argparse.ArgumentParser:
    """Of ``p2o-export``."""
    made = argparse.ArgumentParser(
        prog="p2o-export",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    made.add_argument("run", metavar="RUN", type=Path, help="run directory of p2o-train")
    made.add_argument(
        "--checkpoint",
        default="last.ckpt",
        help="name in RUN/checkpoints, or a path; a file or a folder of shards (%(default)s)",
    )
    made.add_argument("--output", type=Path, help="folder to write (RUN/export)")
    made.add_argument("--dtype", help="of the weights, say bfloat16 (as in the checkpoint)")
    made.add_argument(
        "--overwrite", action="store_true", help="replace a model that is in the folder"
    )
    made.add_argument("--push", metavar="OWNER/NAME", help="also send it to this repository")
    made.add_argument(
        "--private", action="store_true", help="make the repository a private one, if it is new"
    )
    made.add_argument("--version", action="version", version=f"%(prog)s {version('p2o-rl')}")
    return made
