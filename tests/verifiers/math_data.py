"""Answers to compare: pairs judged by hand, and the gold answers of public benchmarks."""

import json
import re
from dataclasses import dataclass
from pathlib import Path

from p2o.prompt import Prompt

DATA = Path(__file__).parents[3] / "shared" / "data"
FILES = ("aime", "amc", "math", "minerva", "olympiad_bench")


@dataclass(frozen=True)
class Pair:
    """A line of ``math_pairs.txt``, which says how to read it.

    Attributes:
        kind: The heading above it.
        equal: How a teacher judges.
        tolerance: Absolute error that is still right.
        differs: Whether math-verify alone gives another verdict than p2o.
        exception: Why p2o judges otherwise; empty when it does not.
    """

    kind: str
    gold: str
    answer: str
    equal: bool
    tolerance: float | None
    differs: bool
    exception: str

    @property
    def prompt(self) -> Prompt:
        meta = {} if self.tolerance is None else {"tolerance": self.tolerance}
        return prompt_of(self.gold, **meta)


def prompt_of(gold: str, *alternatives: str, **meta) -> Prompt:
    return Prompt.create([{"role": "user", "content": "?"}], gold, alternatives, **meta)


def read_pairs(name: str = "math_pairs") -> list[Pair]:
    pairs, kind = [], ""
    lines = (Path(__file__).parent / f"{name}.txt").read_text(encoding="utf-8").splitlines()
    for line in filter(None, lines):
        if line.startswith("# "):
            kind = line[2:]
        elif not line.startswith("//"):
            content, _, exception = line.partition("  %% ")
            gold, sign, answer = re.split(" (≡|≢) ", content.removeprefix("* "))
            gold, _, tolerance = gold.partition(" ± ")
            pairs.append(
                Pair(
                    kind=kind,
                    gold=gold,
                    answer=answer,
                    equal=sign == "≡",
                    tolerance=float(tolerance) if tolerance else None,
                    differs=line.startswith("* "),
                    exception=exception,
                )
            )
    return pairs


def read_golds(name: str) -> list[Prompt]:
    """One prompt for each row of a benchmark."""
    if name == "gsm8k":
        rows = (DATA / "gsm8k/test.jsonl").read_text().splitlines()
        answers = [json.loads(row)["answer"].rpartition("####")[2] for row in rows]
    else:
        answers = [
            row["answer"] for row in json.loads((DATA / "eval" / f"{name}.json").read_text())
        ]
    lists = [answer if isinstance(answer, list) else [answer] for answer in answers]
    return [prompt_of(*(str(text).strip() for text in texts)) for texts in lists]
