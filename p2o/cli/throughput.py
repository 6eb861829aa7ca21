"""How many verdicts a second `BoxedMath` reaches on the answers of a data set.

Each problem gets four responses, one with its own gold answer and three with those of other
problems. Starting the workers is not timed. For example:

  python -m p2o.cli.throughput math.json --workers 2
"""

import argparse
import random
import time
from collections import Counter
from pathlib import Path

from p2o.data.files import read_file
from p2o.prompt import Prompt
from p2o.verifiers.boxed_math import BoxedMath


def main() -> None:
    """Measure, and print one line."""
    assert __doc__ is not None
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("file", type=Path, help="rows, as .json, .jsonl, .parquet or .csv")
    parser.add_argument("--column", default="answer", help="of the gold answers")
    parser.add_argument("--workers", type=int, default=2)
    arguments = parser.parse_args()

    values = [row[arguments.column] for row in read_file(arguments.file)]
    golds = [str(value[0] if isinstance(value, list) else value) for value in values]
    prompts = [Prompt.create([{"role": "user", "content": "?"}], gold) for gold in golds]
    draw = random.Random(0)
    pairs = [
        (prompt, answer)
        for prompt in prompts
        for answer in (f"{prompt.gold}.", *draw.choices(golds, k=3))
    ]
    draw.shuffle(pairs)
    verifier = BoxedMath(workers=arguments.workers)
    verifier.score([r"\boxed{x+1}", r"\boxed{x+2}"], [Prompt.create([], "2x")] * 2)
    started = time.perf_counter()
    scores = verifier.score(
        [f"\\boxed{{{answer}}}" for _, answer in pairs], [prompt for prompt, _ in pairs]
    )
    seconds = time.perf_counter() - started
    verifier.pool.close()
    counts = ", ".join(
        f"{count} {status}" for status, count in Counter(s.status for s in scores).items()
    )
    right = sum(bool(score.solved) for score in scores)
    print(f"{len(scores) / seconds:,.0f} verdicts a second ({counts}; {right} right)")


if __name__ == "__main__":
    main()
