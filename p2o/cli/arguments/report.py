"""``p2o-report``: what runs learned, how and at what cost, as one page without a network.

Writes report.html with its tables (CSV, Markdown, LaTeX) and figures (PNG, SVG) beside it. Runs
that differ in their seed alone are one arm. A run that has not ended, or has no records, is shown
as far as it can be. For example:

  p2o-report runs/default/TIME
  p2o-report runs/one runs/other --against experiment=grpo --output runs/compare/report
"""

import argparse
from importlib.metadata import version
from pathlib import Path


def parser() -> argparse.ArgumentParser:
    """Of ``p2o-report``."""
    made = argparse.ArgumentParser(
        prog="p2o-report",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    made.add_argument(
        "runs", metavar="RUN", nargs="+", type=Path, help="run directory of p2o-train"
    )
    made.add_argument(
        "--output",
        type=Path,
        help="folder to write (RUN/report; of several runs, report in the folder that all are in)",
    )
    made.add_argument("--against", metavar="ARM", help="arm that others are compared with (first)")
    made.add_argument(
        "--no-figures", dest="figures", action="store_false", help="write no PNG and SVG"
    )
    made.add_argument("--version", action="version", version=f"%(prog)s {version('p2o-rl')}")
    return made
