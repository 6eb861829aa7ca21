"""A reference solution of the data's own column."""

import json

import pytest
from omegaconf import OmegaConf

from p2o.configuration.build import conf_directory
from p2o.data.digits import DigitProblem
from p2o.data.table import Table
from p2o.errors import UserError

ROWS = [
    {
        "question": "How many?",
        "answer": "48/2 = <<48/2=24>>24 in May.\nIn all <<48+24=72>>72.\n#### 72",
    }
]
GSM8K = OmegaConf.load(conf_directory() / "data" / "gsm8k.yaml")["source"]  # type: ignore[index]


def table(folder, rows, **options):
    path = folder / "rows.jsonl"
    path.write_text("\n".join(map(json.dumps, rows)))
    return Table(str(path), "question", solution="answer", **options)


def test_a_solution_of_gsm8k_is_without_marks_and_answer(tmp_path):
    keys = {name: GSM8K[name] for name in ("answer_pattern", "solution_pattern")}
    [prompt] = table(tmp_path, ROWS, **keys).prompts()
    assert prompt.meta["solution"] == "48/2 = 24 in May.\nIn all 72."
    assert prompt.gold == "72"


def test_without_a_pattern_it_is_the_column(tmp_path):
    [prompt] = table(tmp_path, ROWS).prompts()
    assert prompt.meta["solution"] == ROWS[0]["answer"]


def test_a_row_without_a_solution_is_a_prompt_without_one(tmp_path):
    """Hints that show solutions refuse it; others need none."""
    rows = [*ROWS, {"question": "Why?", "answer": "#### 3"}]
    keys = {name: GSM8K[name] for name in ("answer_pattern", "solution_pattern")}
    _, bare = table(tmp_path, rows, **keys).prompts()
    assert "solution" not in bare.meta
    assert bare.gold == "3"


@pytest.mark.parametrize(
    ("pattern", "line"),
    [
        ("x", "it has no group; put parentheses around the solution"),
        ("(", "solution_pattern='\\('"),
    ],
)
def test_a_pattern_that_finds_nothing_is_refused(tmp_path, pattern, line):
    with pytest.raises(UserError, match=line):
        table(tmp_path, ROWS, solution_pattern=pattern)


def test_the_embedded_worlds_solutions_stop_before_the_answer():
    problem = DigitProblem("alternating", (3, 1, 4))
    assert problem.solution == "Let us go slowly. 3 2"
    assert problem.answer == 6
