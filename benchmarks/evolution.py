"""One template search of width 16 by p2o against gepa's own loop, on the embedded world.

All have the same policy, hard set, reflection backend and number of metric calls. gepa's own loop
makes one proposal an iteration; p2o makes one for each parent on its front, 16 at most, and tries
them together. With its width filled it makes 16 whatever the front has.
"""

import sys

from benchmarks.command import Results, parser
from benchmarks.process import MeasurementError, p2o


def main() -> int:
    """Command line."""
    command = parser("evolution", __doc__)
    command.add_argument("--budget", type=int, default=1200, help="metric calls (%(default)s)")
    arguments = command.parse_args()
    results = Results("evolution", arguments.folder, arguments.quick)
    budget, dev, train = (60, 6, 16) if arguments.quick else (arguments.budget, 48, 96)
    settings = [
        *("experiment=watched", "evolution=all_searches", "trainer.max_epochs=2"),
        *(f"data.source.train={train}", "data.source.held_out=1", "data.source.short_share=0"),
        *(f"evolution.evolver.budget={budget}", f"evolution.evolver.dev_size={dev}"),
    ]
    try:
        found = p2o(*settings)
        measured = {key: found[key] for key in ("searches", "hard", "dev", "threads", "command")}
        results.add(budget=budget, **measured)
    except (MeasurementError, KeyError) as error:
        results.failed("evolution", error)
    return results.status()


if __name__ == "__main__":
    sys.exit(main())
