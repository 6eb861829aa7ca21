"""``p2o-doctor``: why do rewards stay at zero? A few rollouts, and what to do about it.

  p2o-doctor
  p2o-doctor experiment=smollm2_svamp --problems 8 --samples 6 --hints 4
  p2o-doctor experiment=gsm8k rollout=vllm --output doctor.json
  p2o-doctor --json > doctor.json

Settings are those of p2o-train, all of them. Nothing is trained, and it says first how many
rollouts it will make at most.
"""

import argparse
from importlib.metadata import version
from pathlib import Path


def _positive(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError("give at least 1")
    return number


def parser() -> argparse.ArgumentParser:
    """Of ``p2o-doctor``."""
    made = argparse.ArgumentParser(
        prog="p2o-doctor",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    made.add_argument("overrides", nargs="*", metavar="KEY=VALUE", help="as of p2o-train")
    made.add_argument("--config-dir", type=Path, help="folder with yaml files of yours")
    for name, default, what in (
        ("problems", 16, "training problems to look at"),
        ("samples", 12, "rollouts of each problem without a hint; also the largest k of pass@k"),
        ("tries", 1, "rollouts of each hint on each problem that was never solved"),
    ):
        made.add_argument(f"--{name}", type=_positive, default=default, help=f"{what} ({default})")
    made.add_argument("--hints", type=int, default=16, help="hints to try; 0 for none (16)")
    made.add_argument("--json", action="store_true", help="print JSON in place of tables")
    made.add_argument("--output", type=Path, help="write the JSON into a file as well")
    made.add_argument("--version", action="version", version=f"%(prog)s {version('p2o-rl')}")
    return made
