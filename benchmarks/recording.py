"""``python -m benchmarks.recording [OVERRIDE...]``: which share of a run its records take.

Trains as ``p2o-train`` does with the same overrides, and prints the processor time of what writes
records beside that of everything from the first rollout on.
"""

from collections.abc import Callable
from functools import wraps
from time import process_time
from typing import Any

from p2o.cli.train import main as train
from p2o.learning.recording import RunRecorder

WRITING = ("rolled_out", "pool_made", "on_train_epoch_end", "state_dict", "teardown")
"""Methods that take, hold or write rows."""


def main() -> None:
    """Train, and print one line."""
    spent, begun = [0.0], [0.0]

    def timed(method: Callable[..., Any]) -> Callable[..., Any]:
        @wraps(method)
        def run(*arguments: Any, **named: Any) -> Any:
            start = process_time()
            begun[0] = begun[0] or start
            try:
                return method(*arguments, **named)
            finally:
                spent[0] += process_time() - start

        return run

    for name in WRITING:
        setattr(RunRecorder, name, timed(getattr(RunRecorder, name)))
    train()
    whole = process_time() - begun[0]
    print(f"records: {spent[0]:.2f} s of {whole:.1f} s of processor time, {spent[0] / whole:.2%}")


if __name__ == "__main__":
    main()
