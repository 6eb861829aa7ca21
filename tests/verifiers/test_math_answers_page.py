"""What docs/math-answers.md says is equal or not is what the hand-judged pairs say."""

import re
from pathlib import Path

from math_data import read_pairs

PAGE = (Path(__file__).parents[2] / "docs" / "math-answers.md").read_text()
PAIRS = read_pairs()


def rows(heading: str) -> list[list[str]]:
    """Cells of the last table under a heading that has backquoted cells."""
    section = PAGE.partition(f"## {heading}\n")[2].partition("\n## ")[0]
    lines = re.findall(r"^\| (.*) \|$", section, re.MULTILINE)
    return [[cell.strip().strip("`") for cell in re.split(r"(?<!\\)\|", line)] for line in lines]


def test_all_exceptions_are_listed():
    listed = {(gold, answer, why) for gold, answer, _, why in filter(four, rows("Mathematics"))}
    assert listed == {(p.gold, p.answer, p.exception) for p in PAIRS if p.exception}


def test_examples_of_differences_are_differences():
    starred = {(pair.gold, pair.answer): pair.equal for pair in PAIRS if pair.differs}
    examples = [row for row in rows("Where math-verify alone differs") if row[-1].endswith("equal")]
    assert len(examples) > 15
    for _, gold, answer, ours, alone in examples:
        assert ours == ("equal" if starred[gold, answer] else "not equal")
        assert ours != alone


def test_the_number_of_pairs():
    [pairs] = re.findall(r"There are (\d+) pairs", PAGE)
    assert int(pairs) == len(PAIRS)


def four(row: list[str]) -> bool:
    return len(row) == 4 and row[2] in ("equal", "not equal")
