"""Prompts from files and from the embedded world."""

import csv
import json
import os
import random
from datetime import datetime
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


def cells(tmp_path: Path, name: str, content: str) -> list[tuple[str, tuple[str, ...]]]:
    """Question and right answers of each row of a file, with the columns q and a."""
    path = tmp_path / name
    path.write_text(content)
    return [(p.question, p.golds) for p in Table(str(path), "{q}", "a").prompts()]


BIG = 2**53 + 1
EXACT = {
    "a big whole number": (f'{{"q": "1", "a": {BIG}}}', f"q,a\n1,{BIG}\n", ("1", (str(BIG),))),
    "big ones beside null": (
        f'{{"q": {BIG}, "a": {10**30}}}\n{{"q": 2, "a": null}}',
        f"q,a\n{BIG},{10**30}\n2,\n",
        (str(BIG), (str(10**30),)),
    ),
    "zeros in front": ('{"q": "007", "a": "00501"}', "q,a\n007,00501\n", ("007", ("00501",))),
    "zeros behind": ('{"q": "1", "a": 1.10}', "q,a\n1,1.10\n", ("1", ("1.10",))),
    "a date": (
        '{"q": "2024-05-01", "a": "2024-05-01T00:00:00Z"}',
        "q,a\n2024-05-01,2024-05-01T00:00:00Z\n",
        ("2024-05-01", ("2024-05-01T00:00:00Z",)),
    ),
    "none in words": (
        '{"q": "NA", "a": "None"}',
        "q,a\nNA,None\n",
        ("NA", ("None",)),
    ),
    "a truth": ('{"q": "1", "a": true}', "q,a\n1,true\n", ("1", ("true",))),
    "a line's end that is none": (
        '{"q": "one\u2028two", "a": "3"}',
        '"q","a"\n"one\u2028two",3\n',
        ("one\u2028two", ("3",)),
    ),
    "a mark at the start": ('\ufeff{"q": "1", "a": "2"}', "\ufeffq,a\n1,2\n", ("1", ("2",))),
}


@pytest.mark.parametrize("kind", EXACT)
@pytest.mark.parametrize("suffix", ["jsonl", "csv", "json"])
def test_a_cell_is_what_the_file_says(tmp_path, kind, suffix):
    lines, table, expected = EXACT[kind]
    content = {"jsonl": lines, "csv": table, "json": lines}[suffix]
    path = tmp_path / f"rows.{suffix}"
    path.write_text(content)
    prompts, _ = Table(str(path), "{q}", "a").read()
    assert (prompts[0].question, prompts[0].golds) == expected


def test_whole_numbers_of_parquet_are_exact_and_a_folder_s_name_makes_no_column(tmp_path):
    folder = tmp_path / "a=7"
    folder.mkdir()
    write(folder / "rows.parquet", [{"q": BIG, "a": BIG + 2}, {"q": None, "a": 1}])
    prompts, _ = Table(str(folder), "{q}", "a").read()
    assert [(p.question, p.gold) for p in prompts] == [(str(BIG), str(BIG + 2))]


def folder_of(tmp_path: Path, *names: str) -> Path:
    for number, name in enumerate(names):
        file = tmp_path / "test snapshot" / name
        file.parent.mkdir(parents=True, exist_ok=True)
        write(file, [{"q": f"{number}?", "a": number}])
    return tmp_path / "test snapshot"


SHARD = "00000-of-00001.parquet"


@pytest.mark.parametrize(
    ("names", "split", "line"),
    [
        (
            [f"main/train-{SHARD}", f"main/test-{SHARD}"],
            "train",
            f"not of split=train: main/test-{SHARD}; give a file, or a folder of one split alone",
        ),
        (["train/1.json", "test/1.json"], "train", "not of split=train: test/1.json; give a file"),
        (["train.csv", "dev.csv"], "test", "not of split=test: dev.csv, train.csv; give a file"),
        (["a.test.jsonl", "b-test.jsonl"], "train", "b-test.jsonl; give split=test"),
        ([f"{n}_test.json" for n in range(5)], "train", "2_test.json and 2 more; give split=test"),
    ],
)
def test_a_folder_with_files_of_another_split_is_refused(tmp_path, names, split, line):
    source = table(str(folder_of(tmp_path, *names)), question="{q}", answer="a", split=split)
    assert line in refused(source)
    with pytest.raises(UserError, match="by their names these are not of split="):
        source.check_there()


@pytest.mark.parametrize(
    ("names", "split"),
    [
        ([f"train-{SHARD}", "more.json"], "train"),
        (["test.json", "b/test.csv"], "test"),
        (["dev.json", "val.json"], "validation"),
        (["train.json", "test.json"], "train+test"),
        (["training_and_test.json", "latest.json", "contest.json"], "train[:50%]"),
    ],
)
def test_a_folder_of_one_split_is_read_whole(tmp_path, names, split):
    folder = folder_of(tmp_path, *names)
    prompts = Table(str(folder), "{q}", "a", split=split).prompts()
    assert sorted(prompt.gold for prompt in prompts) == sorted(map(str, range(len(names))))
    # The same under a folder of copies, and one file of it whatever its name.
    Table("a/b", "{q}", "a", root=str(tmp_path), file=folder.name, split=split).check_there()
    Table(str(folder / names[0]), "{q}", "a", split="another").check_there()


def test_a_table_of_columns_is_read_row_by_row(tmp_path):
    assert cells(tmp_path, "rows.json", '{"q": ["1", "2"], "a": [3, 4]}') == [
        ("1", ("3",)),
        ("2", ("4",)),
    ]


def test_a_line_with_more_cells_than_columns_is_named_and_left_out(tmp_path):
    path = tmp_path / "rows.csv"
    path.write_text("q,a\n1,2\n1,000,3\n5,6\n")
    prompts, rejected = Table(str(path), "{q}", "a").read()
    assert [(p.question, p.gold) for p in prompts] == [("1", "2"), ("5", "6")]
    [row] = rejected
    assert (row.row, row.reason) == ("row 1", "has 1 more cells than there are columns")


NO_ANSWER = {
    "[null, 5]": ("5",),
    '[null, "", "5", 6.50]': ("5", "6.50"),
    "[null]": "'a' is empty",
    "[[1], 2]": "'a' holds a list",
    '[{"x": 1}]': "'a' holds an object",
    '{"x": 1}': "'a' is an object",
    "null": "no 'a'",
    "NaN": "no 'a'",
    '"\\ud83d"': "'a' is text with half of a character in it",
}


@pytest.mark.parametrize("cell", NO_ANSWER)
def test_what_is_no_text_is_no_answer(tmp_path, cell):
    path = tmp_path / "rows.jsonl"
    path.write_text('{"q": "1", "a": ' + cell + "}")
    prompts, rejected = Table(str(path), "{q}", "a").read()
    made = prompts[0].golds if prompts else rejected[0].reason
    assert made == NO_ANSWER[cell]


@pytest.mark.parametrize(
    ("cell", "reason"),
    [
        ('["x", "y"]', "'q' is no text but a list"),
        ('{"x": 1}', "'q' is no text but an object"),
        ("null", "no 'q'"),
        ('" "', "the question is empty"),
    ],
)
def test_what_is_no_text_is_no_question(tmp_path, cell, reason):
    path = tmp_path / "rows.jsonl"
    path.write_text('{"q": ' + cell + ', "a": "1"}')
    _, rejected = Table(str(path), "{q}", "a").read()
    assert rejected[0].reason == reason


def test_a_point_in_time_has_no_one_spelling(tmp_path):
    write(tmp_path / "rows.parquet", [{"q": "When?", "a": datetime(2024, 5, 1)}])
    _, [rejected] = Table(str(tmp_path / "rows.parquet"), "{q}", "a").read()
    assert rejected.reason == "'a' is a point in time, which has more than one spelling"


@pytest.mark.parametrize("name", ["q.text", "q[text]", "q.more[0]", "q.more.1.deep"])
def test_a_question_may_be_inside_of_a_column(tmp_path, name):
    inside = {"text": "1?", "more": ["1?", {"deep": "1?"}]}
    path = write(tmp_path / "rows.jsonl", [{"q": inside, "a": "1"}, {"q": {"text": 2}, "a": "2"}])
    prompts, rejected = Table(path, f"Say {{{name}}}", "a").read()
    assert prompts[0].question == "Say 1?"
    assert [each.reason for each in rejected] == ([] if "text" in name else [f"no '{name}'"])


def test_a_name_that_is_nowhere_inside_is_refused_in_one_line(tmp_path):
    path = write(tmp_path / "rows.jsonl", [{"q": {"text": "1?"}, "a": "1", "q.dotted": "2?"}])
    assert refused(table(path, question="{q.words}", answer="a")) == (
        f"question: no column 'q.words' in {path}; it has a, q, q.dotted"
    )
    assert Table(path, "{q.dotted}", "a").prompts()[0].question == "2?"
    for hostile in ("{q.__class__}", "{a.upper}"):
        assert "no column" in refused(table(path, question=hostile, answer="a"))


def test_a_file_written_again_with_the_same_size_and_time_is_read_again(tmp_path):
    path = tmp_path / "rows.json"
    path.write_text('[{"q": "1", "a": "1"}]')
    before = path.stat()
    assert Table(str(path), "{q}", "a").prompts()[0].gold == "1"
    path.write_text('[{"q": "1", "a": "2"}]')
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert Table(str(path), "{q}", "a").prompts()[0].gold == "2"


def chat(*texts: str) -> list[dict[str, str]]:
    roles = ("user", "assistant")
    return [{"role": roles[n % 2], "content": text} for n, text in enumerate(texts)]


def test_conversations_that_end_alike_are_different_questions(tmp_path, caplog):
    rows = [{"m": chat(f"Problem {n}", "Hm.", "Go on."), "a": str(n)} for n in range(8)]
    path = write(tmp_path / "rows.jsonl", rows)
    split = TableSource(path, messages="m", answer="a", held_out=4).load(0)
    assert (len(split.train), len(split.held_out)) == (4, 4)
    assert caplog.text == ""
    assert split.train[0].question.startswith("user: Problem ")


@pytest.mark.parametrize("space", ["  ", "\n", "\u00a0", "", "\u200b"], ids=ascii)
def test_questions_that_differ_in_white_space_alone_are_on_one_side(tmp_path, space, caplog):
    rows = [{"q": f"What is {n} + 1?", "a": str(n + 1)} for n in range(10)]
    rows += [{"q": row["q"].replace(" ", space), "a": f"{row['a']}.0"} for row in rows]
    path = write(tmp_path / "rows.jsonl", rows)
    split = table(path, question="{q}", answer="a", held_out=5).load(0)
    held_out, train = (
        {"".join(p.question.split()).replace("\u200b", "") for p in side}
        for side in (split.held_out, split.train)
    )
    assert not held_out & train
    assert "10 questions have different answers" in caplog.text


def test_the_text_of_a_conversation_s_parts_is_taken_and_an_image_is_none(tmp_path):
    parts = [{"type": "text", "text": "1 "}, {"type": "text", "text": "+ 1?"}]
    image = [{"type": "image", "url": "cat.png"}]
    rows = [{"m": [{"role": "user", "content": c}], "a": "2"} for c in (parts, image, "x")]
    path = write(tmp_path / "rows.jsonl", rows)
    prompts, [rejected] = Table(path, messages="m", answer="a").read()
    assert [prompt.question for prompt in prompts] == ["1 + 1?", "x"]
    assert rejected.reason.startswith("'m': the content of a message is no text but ")


def test_numbers_that_are_kept_are_plain_ones(tmp_path):
    path = write(tmp_path / "rows.json", [{"q": "1", "a": "2", "k": {"x": [7.5]}, "t": "0.25"}])
    [prompt] = Table(path, "{q}", "a", keep=["k"], tolerance="t").prompts()
    assert json.loads(json.dumps(prompt.meta)) == {"k": {"x": [7.5]}, "tolerance": 0.25, "row": 0}


@pytest.mark.parametrize("tolerance", ["-1", "nan", "inf", "little", "[1]"])
def test_a_tolerance_that_is_none_is_named(tmp_path, tolerance):
    path = write(tmp_path / "rows.json", [{"q": "1", "a": "2", "t": tolerance}])
    _, [rejected] = Table(path, "{q}", "a", tolerance="t").read()
    assert rejected.reason == "'t' is no number"


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
    slept: list[float] = []
    monkeypatch.setattr("time.sleep", slept.append)
    monkeypatch.setattr("huggingface_hub.constants.ENDPOINT", "http://127.0.0.1:9")
    with pytest.raises(UserError, match="some/set: no file, and not to be had") as caught:
        Table("some/set", "{q}", file="sets/some.json").prompts()
    assert str(caught.value).endswith(", or root=FOLDER with FOLDER/sets/some.json")
    assert sum(slept) < 10


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
        (
            {"question": "{n:>1000000000}"},
            "'>1000000000' is no format; give a width of at most 999",
        ),
        ({"question": "{n:{w}}"}, "is no format"),
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
        ("a.parquet", "PAR1" + "x" * 90 + "PAR1", "cannot be read as parquet"),
        ("a.json", '[{"body": 1}, 2]', "cannot be read as json (row 1 is no object but 2)"),
        ("a.jsonl", '{"body": 1}\n[2]\n', "cannot be read as json (line 2 is no object but [2])"),
        ("a.json", '[{"ask": 1, "ask": 2}]', "cannot be read as json (an object has two values"),
        ("a.json", f'{{"body": 1e{"9" * 20}}}', "cannot be read as json (the exponent of 1e9999"),
        ("a.jsonl", f'{{"body": 1e{"9" * 20}}}\n', "cannot be read as json (line 1: the exponent"),
        ("a.json", "[" * 100_000, "cannot be read as json"),
        ("a.csv", "body,ask,ask\n1,2,3\n", "cannot be read as csv (two columns are named 'ask')"),
        ("a.csv", 'body,ask\n"1,2\n3,4\n', "cannot be read as csv (line 3: unexpected end"),
    ],
)
def test_a_file_that_gives_no_rows_is_named_and_says_why(tmp_path, name, content, said):
    path = tmp_path / name
    path.write_text(content)
    message = refused(table(str(path)))
    assert message.startswith(f"path={path}: {said}")


TIMES = [pyarrow.timestamp("us"), pyarrow.date64(), pyarrow.duration("s")]


@pytest.mark.parametrize("kind", TIMES, ids=str)
def test_a_time_that_python_does_not_have_is_said_in_one_line(tmp_path, kind):
    path = tmp_path / "a.parquet"
    pyarrow.parquet.write_table(pyarrow.table({"body": pyarrow.array([2**62], kind)}), path)
    assert refused(table(str(path))).startswith(f"path={path}: cannot be read as parquet (")


@pytest.mark.parametrize("name", ["", "0", "text", "q[text]", "1.0", "a b"])
def test_any_name_of_a_column_serves_in_braces_and_without(tmp_path, name):
    path = write(tmp_path / "rows.jsonl", [{name: "What?", "a": "7"}])
    texts = [f"{{{name}}}", *([name] * bool(name))]
    for text in texts:
        assert [p.question for p in Table(path, text, "a").prompts()] == ["What?"]
    with pytest.raises(UserError, match=r"^question: no column 'other' in .*; it has "):
        Table(path, "other", "a").prompts()


def test_single_precision_is_read_as_it_is_spelled(tmp_path):
    numbers = [0.1, 2.5, 1e10, 16777216.0]
    single = pyarrow.array(numbers, pyarrow.float32())
    lists = pyarrow.array([[n] for n in numbers], pyarrow.list_(pyarrow.float32()))
    double = pyarrow.array(["0.1", "2.5", "x", "y"])
    content = pyarrow.table({"a": single, "b": lists, "c": double})
    pyarrow.parquet.write_table(content, tmp_path / "a.parquet")
    for column in ("a", "b"):
        prompts = Table(str(tmp_path / "a.parquet"), "{a:.3f} {c}", column).prompts()
        assert [p.gold for p in prompts] == [str(n) for n in numbers]
        assert prompts[0].question == "0.100 0.1"


def test_a_file_that_is_not_there_is_named_with_the_folder_looked_in(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    message = refused(table("rows.json"))
    assert message == f"path=rows.json: no such file (looked from {tmp_path})"


@pytest.mark.parametrize("path", ["openai/gsm8k", "rows.txt", "/no/such/folder"])
def test_without_a_network_a_hub_data_set_gives_one_line_at_once(monkeypatch, path):
    # datasets reads the environment variable HF_HUB_OFFLINE into this when it is imported.
    monkeypatch.setattr("datasets.config.HF_HUB_OFFLINE", True)
    slept: list[float] = []
    monkeypatch.setattr("time.sleep", slept.append)
    message = refused(table(path))
    assert sum(slept) < 5
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


def test_a_column_that_is_kept_may_have_any_name_but_that_of_the_row_s_number(tmp_path):
    rows = [{**row, "gold": n, "messages": "m", "row": 7} for n, row in enumerate(ROWS)]
    path = write(tmp_path / "rows.jsonl", rows)
    split = table(path, keep=["gold", "messages"]).load(0)
    kept = {p.meta["row"]: p.meta["gold"] for p in split.train + split.held_out}
    assert kept == {n: n for n in range(len(ROWS))}
    with pytest.raises(UserError, match="keep=row: this is the number of a row"):
        table(path, keep=["row"])
