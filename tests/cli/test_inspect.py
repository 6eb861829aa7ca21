"""`p2o-data`: what it prints, and how it refuses."""

import json
import logging
import math
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from p2o.cli.data import main
from p2o.cli.inspection import histogram, quantile
from p2o.data.sources import DigitLists
from p2o.policy.models import load_policy

pytestmark = pytest.mark.slow

INTEGERS = st.lists(st.integers(0, 5000), min_size=1, max_size=60)


@given(INTEGERS, st.sampled_from([0.0, 0.25, 0.5, 0.9, 0.99, 1.0]))
def test_quantiles_are_numpys(values, share):
    assert quantile(values, share) == np.quantile(values, share, method="inverted_cdf")


@given(INTEGERS, st.integers(1, 12))
def test_a_histogram_counts_every_value_in_its_range(values, bars):
    ranges = histogram(values, bars)
    assert len(ranges) <= bars
    assert len({last - first for first, last, _ in ranges}) == 1
    for first, last, count in ranges:
        assert count == sum(first <= value <= last for value in values)
    assert sum(count for _, _, count in ranges) == len(values)


# The embedded policy takes 256 tokens.
SVAMP = ("data=svamp", "data.source.path=rows.json", "data.max_prompt_tokens=96")


@pytest.fixture
def p2o_data(monkeypatch, capsys, tmp_path):
    """Run the command line in this process; returns its status, stdout and stderr."""
    monkeypatch.chdir(tmp_path)
    root = logging.getLogger()
    kept = list(root.handlers), root.level

    def run(*arguments: str) -> tuple[int, str, str]:
        root.handlers[:] = []
        monkeypatch.setattr(sys, "argv", ["p2o-data", *arguments])
        capsys.readouterr()
        status = 0
        try:
            main()
        except SystemExit as stopped:
            status = int(stopped.code or 0)
        return status, *capsys.readouterr()

    yield run
    root.handlers[:], root.level = kept


def refused(result: tuple[int, str, str]) -> str:
    status, _, error = result
    assert status == 2
    [line] = error.splitlines()
    assert line.startswith("error: ")
    return line.removeprefix("error: ")


def test_words_that_the_policy_cannot_read_are_told(p2o_data, tmp_path):
    texts = ("Natalia sold clips to friends", "Add the digits: 1 2 3")
    for number, (text, known) in enumerate(zip(texts, (False, True), strict=True)):
        rows = [{"q": f"{text} {n}", "a": "1"} for n in range(6)]
        (tmp_path / f"rows{number}.json").write_text(json.dumps(rows))
        status, output, errors = p2o_data(
            *("inspect", "data=file", f"data.source.path=rows{number}.json", "verifier=exact"),
            *("data.source.question=q", "data.source.answer=a", "data.source.held_out=2"),
            *("data.max_prompt_tokens=96", "data.batch=2", "data.mini_batch=2"),
        )
        assert status == 0, errors
        assert ("words that the tokenizer does not know" in " ".join(output.split())) is not known


def test_numbers_lengths_and_three_prompts_as_the_policy_reads_them(p2o_data):
    status, output, error = p2o_data("inspect", "data.source.train=40", "data.source.held_out=20")
    assert (status, error) == (0, "")
    split = DigitLists(40, 20).load(0)
    tokenizer = load_policy("embedded:digits")[1]
    lengths = sorted(
        len(tokenizer(f"<user> {p.question} <assistant>").input_ids) for p in split.train
    )
    [row] = [line for line in output.splitlines() if line.startswith("│ train ")][:1]
    cells = [cell.strip() for cell in row.strip("│").split("│")]
    assert cells[:3] == ["train", "40", str(lengths[0])]
    assert cells[-1] == str(lengths[-1])
    for prompt in split.train[:3]:
        assert f"<user> {prompt.question} <assistant>\nright: {prompt.gold}\n" in output
    assert split.train[3].id not in output
    assert all(len(line) <= 80 for line in output.splitlines())


def test_system_prompt_prefix_and_suffix_are_shown(p2o_data):
    _, output, _ = p2o_data(
        "inspect", "renderer.prefix='1 2 '", "renderer.suffix=' 3 4'", "data.source.short_share=1"
    )
    question = DigitLists(128, 200, 1.0).load(0).train[0].question
    assert f"<user> 1 2 {question} 3 4 <assistant>" in output


def test_rejected_rows_are_named_with_their_reasons(p2o_data, tmp_path):
    rows = [{"Body": "One", "Question": f"plus {n}?", "Answer": n + 1} for n in range(80)]
    rows[3]["Answer"] = rows[44]["Question"] = None
    (tmp_path / "rows.json").write_text(json.dumps(rows))
    status, output, _ = p2o_data("inspect", *SVAMP)
    assert status == 0
    assert "cannot be used: 2 of 80 (2.50%)\n  row 3: no 'Answer'\n  row 44: no 'Qu" in output
    assert "│ train    │      48 │" in output


def test_data_that_p2o_train_refuses_are_refused(p2o_data, tmp_path):
    (tmp_path / "rows.json").write_text('[{"body": "a"}]')
    line = refused(p2o_data("inspect", *SVAMP))
    assert line.startswith("data.source.question: no column 'Body' in rows.json")
    line = refused(p2o_data("inspect", "data.max_prompt_tokens=10"))
    assert line.startswith("data.max_prompt_tokens=10: ")


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        (
            ["data=file", "data.source.path=rows.jsonl"],
            "sampling.train.max_new_tokens=24 and data.max_prompt_tokens=1024 are more than the "
            "256 tokens that the engine takes; lower one of them",
        ),
        (["sampling.train.stop_token_ids=[999999]"], "sampling.train.stop_token_ids: there is no"),
        (["sampling.train.temperature=0"], "sampling.train"),
        (["data.mini_batch=64"], "data.mini_batch=64 is above data.batch=16"),
    ],
    ids=lambda value: value[0] if isinstance(value, list) else "",
)
def test_settings_that_p2o_train_refuses_are_refused(p2o_data, tmp_path, settings, said):
    rows = ({"question": f"What is {n} + 3?", "answer": str(n + 3)} for n in range(80))
    (tmp_path / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    assert refused(p2o_data("inspect", *settings)).startswith(said)


def test_an_engines_own_limit_counts(p2o_data):
    status, _, _ = p2o_data("inspect", "rollout=vllm", "rollout.max_length=120")
    assert status == 0
    line = refused(p2o_data("inspect", "rollout=vllm", "rollout.max_length=60"))
    assert "more than the 60 tokens that the engine takes" in line


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["data.source.trian=3"], "data.source.trian: no such key; did you mean data.source.train"),
        (["data=nowhere"], "data=nowhere: no such option; there are "),
        (["--config-dir", "nowhere"], "--config-dir=nowhere: no such folder"),
        (["model.path=nowhere/at/all"], "model.path=nowhere/at/all: no tokenizer to be had"),
    ],
    ids=lambda value: value[0] if isinstance(value, list) else "",
)
def test_settings_that_cannot_work_are_refused(p2o_data, arguments, said):
    assert refused(p2o_data("inspect", *arguments)).startswith(said)


def test_a_tokenizer_without_a_chat_template_is_named(p2o_data, tmp_path, tokenizer):
    tokenizer.save_pretrained(tmp_path / "model")
    (tmp_path / "model" / "chat_template.jinja").unlink()
    line = refused(p2o_data("inspect", f"model.path={tmp_path / 'model'}"))
    assert "has no chat template" in line


def test_a_tokenizer_of_a_hub_that_does_not_answer_is_refused_at_once(p2o_data, monkeypatch):
    slept: list[float] = []
    monkeypatch.setattr("time.sleep", slept.append)
    monkeypatch.setattr("huggingface_hub.constants.ENDPOINT", "http://127.0.0.1:9")
    line = refused(p2o_data("inspect", "model.path=some/model"))
    assert line.startswith("model.path=some/model: no tokenizer to be had (")
    assert sum(slept) < 10


BENCHMARK = """_target_: p2o.data.contamination.Contamination
against:
  mine:
    table:
      _target_: p2o.data.table.Table
      path: test.jsonl
      question: "{Body} {Question}"
      answer: Answer
  missing:
    table:
      _target_: p2o.data.table.Table
      path: nowhere.jsonl
      question: "{Body}"
"""


@pytest.fixture
def benchmark(tmp_path):
    """A benchmark of which two questions are trained on, one of them nearly."""
    facts = " ".join(f"w{chr(97 + n)}" for n in range(20))
    rows = [{"Body": f"Number {n}.", "Question": "What now?", "Answer": n} for n in range(70)]
    rows += [{"Body": f"{facts} one", "Question": "What?", "Answer": 1}]
    test = [
        {"Body": "number 7", "Question": "what now", "Answer": 7},
        {"Body": f"{facts} two", "Question": "Who?", "Answer": 1},
        {"Body": "Something", "Question": "else?", "Answer": 1},
    ]
    for name, content in (("rows", rows), ("test", test)):
        (tmp_path / f"{name}.jsonl").write_text("".join(json.dumps(r) + "\n" for r in content))
    folder = tmp_path / "my_conf" / "data" / "contamination"
    folder.mkdir(parents=True)
    (folder / "mine.yaml").write_text(BENCHMARK)
    return (
        "contamination",
        *("--config-dir", "my_conf", "data=svamp", "data/contamination=mine"),
        *("data.source.path=rows.jsonl", "data.source.train=null", "data.source.held_out=1"),
    )


def test_contamination_is_counted_listed_and_written(p2o_data, benchmark):
    status, output, error = p2o_data(*benchmark, "--output", "found.jsonl")
    assert (status, error) == (0, "")
    assert "70 training questions in benchmarks" in output
    assert "│ mine      │         3 │             1 │      1 │                  2 │" in output
    assert "row 7 has all of mine's row 0: Number 7. What now?" in output
    assert (
        "not compared with missing: against.missing.table.path=nowhere.jsonl: no such file"
        in output
    )
    found = [json.loads(line) for line in Path("found.jsonl").read_text().splitlines()]
    assert [(each["benchmark"], each["exact"]) for each in found] == [
        ("mine", each["train"].startswith("Number 7.")) for each in found
    ]
    assert len(found) == 2
    [nearly] = [each for each in found if not each["exact"]]
    assert math.isclose(nearly["share"], 13 / 15)


def test_contamination_wants_a_benchmark_to_compare_with(p2o_data):
    line = refused(p2o_data("contamination"))
    assert line.startswith("data.contamination: no benchmark to compare with; add one, data/cont")


def test_a_file_that_cannot_be_written_is_named(p2o_data, benchmark):
    line = refused(p2o_data(*benchmark, "--output", "no/such/folder/found.jsonl"))
    assert line.startswith("--output=no/such/folder/found.jsonl: cannot be written (")


def test_help_tells_how_to_call_it(p2o_data):
    status, output, _ = p2o_data("--help")
    assert status == 0
    assert "p2o-data inspect data=gsm8k" in output
    assert {"inspect", "contamination"} <= set(output.split())
