"""Prompts from files and from the embedded world."""

import csv
import json
import random
import time
from pathlib import Path
from typing import Any

import pyarrow
import pyarrow.parquet
import pytest

from p2o.data.sources import DigitLists, TableSource
from p2o.data.table import Table
from p2o.errors import UserError

ROWS = [
    {"body": f"There are {n} cats.", "ask": "How many legs?", "answer": f"so: #### {4 * n}"}
    for n in range(1, 13)
]


def write(path: Path, rows: list[dict[str, Any]]) -> str:
    if path.suffix == ".json":
        path.write_text(json.dumps(rows))
    elif path.suffix == ".jsonl":
        path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    elif path.suffix == ".csv":
        with path.open("w", newline="") as file:
            writer = csv.DictWriter(file, fieldnames=list(rows[0]))
            writer.writeheader()
            writer.writerows(rows)
    else:
        pyarrow.parquet.write_table(pyarrow.Table.from_pylist(rows), path)
    return str(path)


def table(path: str, **more: Any) -> TableSource:
    settings = {"question": "{body} {ask}", "answer": "answer", "held_out": 4, **more}
    return TableSource(path=path, **settings)


@pytest.mark.parametrize("suffix", [".json", ".jsonl", ".csv", ".parquet"])
def test_each_format_gives_question_and_answer_of_every_row(tmp_path, suffix):
    path = write(tmp_path / f"rows{suffix}", ROWS)
    split = table(path, answer_pattern=r"####\s*(.+)").load(0)
    assert (len(split.train), len(split.held_out)) == (8, 4)
    found = {prompt.question: prompt.gold for prompt in split.train + split.held_out}
    assert found == {
        f"There are {n} cats. How many legs?": str(4 * n) for n in range(1, len(ROWS) + 1)
    }
    assert all(prompt.messages[0]["role"] == "user" for prompt in split.train)


def test_without_a_pattern_the_whole_column_is_the_answer(tmp_path):
    path = write(tmp_path / "rows.json", [{"q": "one", "a": 1}, {"q": "half", "a": 2}])
    split = table(path, question="Q: {q}", answer="a", held_out=1).load(0)
    assert {p.question: p.gold for p in split.train + split.held_out} == {
        "Q: one": "1",
        "Q: half": "2",
    }


def test_ids_do_not_depend_on_the_order_of_rows_nor_on_the_format(tmp_path):
    shuffled = list(ROWS)
    random.Random(1).shuffle(shuffled)
    paths = [write(tmp_path / "a.json", ROWS), write(tmp_path / "b.csv", shuffled)]
    first, second = (
        {p.question: p.id for p in split.train + split.held_out}
        for split in (table(path).load(0) for path in paths)
    )
    assert first == second
    assert len(set(first.values())) == len(ROWS)


def test_training_and_held_out_rows_are_disjoint_and_repeat_with_the_seed(tmp_path):
    path = write(tmp_path / "rows.json", ROWS)
    first, again, other = (table(path, train=5).load(seed) for seed in (1, 1, 2))
    assert (len(first.train), len(first.held_out)) == (5, 4)
    assert not {p.id for p in first.train} & {p.id for p in first.held_out}
    assert first == again
    assert first != other


def test_a_row_that_is_there_twice_counts_once(tmp_path):
    path = write(tmp_path / "rows.json", ROWS + ROWS[:5])
    split = table(path).load(0)
    ids = [prompt.id for prompt in split.train + split.held_out]
    assert len(ids) == len(set(ids)) == len(ROWS)


def refused(source: TableSource) -> str:
    with pytest.raises(UserError) as caught:
        source.load(0)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_a_missing_column_is_named_with_those_there_are(tmp_path):
    path = write(tmp_path / "rows.json", ROWS)
    message = refused(table(path, question="{body} {question}"))
    assert message == (f"question: no column 'question' in {path}; it has answer, ask, body")
    assert refused(table(path, answer="gold")).startswith("answer: no column 'gold'")


@pytest.mark.parametrize("suffix", [".jsonl", ".csv", ".parquet"])
def test_rows_that_cannot_be_used_are_named(tmp_path, suffix):
    rows: list[dict[str, Any]] = [{"q": f"question {n}", "a": str(n)} for n in range(5)]
    rows[3]["a"] = None
    path = write(tmp_path / f"rows{suffix}", rows)
    source = table(path, question="{q}", answer="a", held_out=1)
    with pytest.raises(UserError) as caught:
        source.load(0)
    first, named, way_out = str(caught.value).splitlines()
    assert first == f"rows of {path} that cannot be used: 1 of 5 (20.00%)"
    assert named == "  row 3: no 'a'"
    assert way_out == "mend them or raise max_rejected_share=0.05"


def test_a_few_rows_that_cannot_be_used_are_left_out_with_a_warning(tmp_path, caplog):
    rows = [dict(row) for row in ROWS]
    rows[7]["answer"] = "thirty-two"
    path = write(tmp_path / "rows.json", rows)
    source = table(path, answer_pattern="#### (.+)", max_rejected_share=0.1)
    split = source.load(0)
    assert len(split.train) + len(split.held_out) == len(ROWS) - 1
    [warning] = caplog.messages
    assert "cannot be used: 1 of 12 (8.33%)" in warning
    assert "row 7: 'thirty-two' does not match #### (.+)" in warning


def test_ten_rows_are_named_and_all_are_counted(tmp_path):
    rows = [{"q": f"question {n}", "a": ""} for n in range(30)]
    source = table(write(tmp_path / "rows.json", rows), question="{q}", answer="a", held_out=1)
    with pytest.raises(UserError, match="cannot be used: 30 of 30") as caught:
        source.load(0)
    assert str(caught.value).count("\n  row ") == 10


def test_the_same_question_with_another_answer_does_not_straddle_the_split(tmp_path, caplog):
    rows = [{"q": f"question {n % 10}", "a": str(n)} for n in range(20)]
    path = write(tmp_path / "rows.json", rows)
    split = table(path, question="{q}", answer="a", held_out=5).load(0)
    asked = {prompt.question for prompt in split.held_out}
    assert not asked & {prompt.question for prompt in split.train}
    assert "10 questions have different answers in different rows" in caplog.text


def test_with_a_split_seed_fewer_rows_are_some_of_more(tmp_path):
    path = write(tmp_path / "rows.json", [{"q": f"question {n}", "a": "1"} for n in range(60)])
    few, more = (
        table(path, question="{q}", answer="a", held_out=10, split_seed=3, train=size).load(seed)
        for size, seed in ((20, 0), (40, 7))
    )
    assert {p.id for p in few.train} < {p.id for p in more.train}
    assert few.held_out == more.held_out


def test_a_list_of_answers_gives_alternatives(tmp_path):
    rows = [{"q": f"question {n}", "a": [str(n), f"{n}.0"]} for n in range(4)]
    path = write(tmp_path / "rows.json", rows)
    prompts = Table(str(path), "{q}", "a").prompts()
    assert [prompt.golds for prompt in prompts] == [(str(n), f"{n}.0") for n in range(4)]


def test_a_conversation_is_taken_as_it_is(tmp_path):
    turns = [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": "{x} plus 1?"},
    ]
    rows = [
        {"chat": turns, "a": "2", "error": "0.1"},
        {"chat": [*turns, {"role": "assistant", "content": "2"}], "a": "2", "error": None},
    ]
    path = write(tmp_path / "rows.json", rows)
    source = Table(str(path), messages="chat", answer="a", tolerance="error")
    [prompt], [rejected] = source.read()
    assert [dict(message) for message in prompt.messages] == turns
    assert prompt.meta["tolerance"] == 0.1
    assert rejected.row == "row 1"
    assert rejected.reason == "'chat' is no conversation that ends with the user"


def test_a_conversation_may_be_there_as_json_and_what_is_none_is_rejected(tmp_path):
    good = json.dumps([{"role": "user", "content": "1?"}])
    bad = ["[", "user: 1?", "[1]", '[{"role": "user"}]', "{}", "7", '[{"role": "system"}]']
    rows = [{"chat": chat, "a": "1"} for chat in (good, *bad)]
    source = Table(write(tmp_path / "rows.jsonl", rows), messages="chat", answer="a")
    [prompt], rejected = source.read()
    assert prompt.question == "1?"
    assert [each.row for each in rejected] == [f"row {n}" for n in range(1, 8)]


def test_numbers_and_texts_in_one_column_of_answers_are_both_read(tmp_path):
    path = write(tmp_path / "rows.json", [{"q": "a", "a": 1}, {"q": "b", "a": "two"}])
    assert [p.gold for p in Table(path, "{q}", "a").prompts()] == ["1", "two"]


def test_a_folder_is_read_file_by_file(tmp_path):
    write(tmp_path / "b.jsonl", ROWS[6:])
    write(tmp_path / "a.jsonl", ROWS[:6])
    prompts = Table(str(tmp_path), "{body} {ask}").prompts()
    assert [prompt.question for prompt in prompts] == [f"{r['body']} {r['ask']}" for r in ROWS]


def test_a_local_copy_serves_in_place_of_the_hub(tmp_path):
    write(tmp_path / "copy.json", ROWS)
    copied = Table("some/set", "{body} {ask}", root=str(tmp_path), file="copy.json")
    assert len(copied.prompts()) == len(ROWS)


def test_without_a_hub_the_local_copy_that_would_serve_is_named(monkeypatch):
    monkeypatch.setattr("huggingface_hub.constants.ENDPOINT", "http://127.0.0.1:9")
    started = time.monotonic()
    with pytest.raises(UserError, match="some/set: no file, and not to be had") as caught:
        Table("some/set", "{q}", file="sets/some.json").prompts()
    assert str(caught.value).endswith(", or data_root=FOLDER with FOLDER/sets/some.json")
    assert time.monotonic() - started < 10


@pytest.mark.parametrize(("train", "held_out"), [(None, 12), (9, 4), (1, 1000)])
def test_sizes_above_the_number_of_rows_are_refused(tmp_path, train, held_out):
    message = refused(table(write(tmp_path / "rows.json", ROWS), train=train, held_out=held_out))
    assert f"12 distinct rows in {tmp_path}" in message
    assert f"held_out={held_out} and train={train}" in message


def test_as_many_rows_as_asked_for_are_enough(tmp_path):
    split = table(write(tmp_path / "rows.json", ROWS), train=8, held_out=4).load(0)
    assert (len(split.train), len(split.held_out)) == (8, 4)


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"question": "{body"}, "question='{body': "),
        ({"answer_pattern": "("}, "answer_pattern='(': "),
        ({"answer_pattern": r"\d+"}, "put parentheses around the answer"),
        ({"held_out": 0}, "held_out=0: give at least 1"),
        ({"train": -1}, "train=-1: give at least 1"),
    ],
    ids=str,
)
def test_settings_that_cannot_work_are_refused_before_anything_is_read(settings, said):
    with pytest.raises(UserError) as caught:
        table("nowhere.json", **settings)
    assert said in str(caught.value)


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("a.json", "", "the file is empty"),
        ("a.csv", "", "the file is empty"),
        ("a.json", "[]", "there are no rows in it"),
        ("a.csv", "body,ask,answer\n", "there are no rows in it"),
        ("a.json", '[{"body": ', "cannot be read as json"),
        ("a.jsonl", '{"body": 1}\n{"body": x}\n', "cannot be read as json"),
        ("a.parquet", "not parquet", "cannot be read as parquet"),
    ],
)
def test_a_file_that_gives_no_rows_is_named_and_says_why(tmp_path, name, content, said):
    path = tmp_path / name
    path.write_text(content)
    message = refused(table(str(path)))
    assert message.startswith(f"path={path}: {said}")


def test_a_file_that_is_not_there_is_named_with_the_folder_looked_in(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    message = refused(table("rows.json"))
    assert message == f"path=rows.json: no such file (looked from {tmp_path})"


@pytest.mark.parametrize("path", ["openai/gsm8k", "rows.txt", "/no/such/folder"])
def test_without_a_network_a_hub_data_set_gives_one_line_at_once(monkeypatch, path):
    # datasets reads the environment variable HF_HUB_OFFLINE into this when it is imported.
    monkeypatch.setattr("datasets.config.HF_HUB_OFFLINE", True)
    start = time.monotonic()
    message = refused(table(path))
    assert time.monotonic() - start < 5
    assert message.startswith(f"path={path}: no file, and not to be had from the hub")
    assert "give a local .json, .jsonl, .parquet or .csv file" in message


def digits_of(question: str) -> list[int]:
    return [int(digit) for digit in question.partition(":")[2].split()]


def test_gold_answers_of_digit_lists_follow_the_rule_of_their_family():
    split = DigitLists(train=150, held_out=60).load(3)
    families = set()
    for prompt in split.train + split.held_out:
        digits = digits_of(prompt.question)
        even, odd = sum(digits[0::2]), sum(digits[1::2])
        expected = {
            "Add the digits": even + odd,
            "Add and subtract the digits in turn": even - odd,
            "Add the digits with every second one doubled": even + 2 * odd,
        }[prompt.question.partition(":")[0]]
        assert prompt.gold == str(expected), prompt.question
        assert prompt.meta["length"] == len(digits)
        families.add(prompt.meta["family"])
    assert families == {"sum", "alternating", "doubling"}


def test_digit_lists_are_distinct_and_no_held_out_problem_is_trained_on():
    # Short lists are so few that undisturbed draws would meet.
    split = DigitLists(train=400, held_out=400, short_share=1.0).load(0)
    ids = [prompt.id for prompt in split.train + split.held_out]
    assert len(ids) == len(set(ids)) == 800


def test_digit_lists_repeat_with_the_seed_and_hold_out_the_same_problems_for_all():
    first, again, other = (DigitLists(32, 16).load(seed) for seed in (0, 0, 1))
    assert first == again
    assert {p.id for p in first.train} != {p.id for p in other.train}
    assert first.held_out == other.held_out


@pytest.mark.parametrize(("share", "short"), [(0.0, 0), (0.25, 20), (1.0, 80)])
def test_the_share_of_short_digit_lists_is_the_one_asked_for(share, short):
    split = DigitLists(train=80, held_out=80, short_share=share).load(0)
    for prompts in (split.train, split.held_out):
        lengths = [len(digits_of(prompt.question)) for prompt in prompts]
        assert sum(length in (2, 3) for length in lengths) == short
        assert all(length in (2, 3, 5, 6, 7, 8) for length in lengths)


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"train": 0}, "train=0: give at least 1"),
        ({"held_out": -5}, "held_out=-5: give at least 1"),
        ({"short_share": 1.5}, "short_share=1.5: give a share from 0 to 1"),
        ({"train": 20_000}, "more than the 3300 short lists there are"),
    ],
    ids=str,
)
def test_digit_lists_that_do_not_exist_are_refused(settings, said):
    with pytest.raises(UserError) as caught:
        DigitLists(**settings)
    assert said in str(caught.value)
