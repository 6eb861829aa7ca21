"""Training questions that are in a benchmark: what is found, on made texts and on real files."""

import random
import re
import time
from pathlib import Path

import pytest
from hydra import compose, initialize_config_dir
from hypothesis import given
from hypothesis import strategies as st

from p2o.cli.preparation import prepare
from p2o.configuration.build import CONFIG_NAME, build, conf_directory
from p2o.data.contamination import Contamination, find_overlaps
from p2o.data.sources import Split
from p2o.errors import UserError
from p2o.prompt import Prompt
from p2o.rollout.rendering import ChatRenderer
from p2o.verifiers import Numeric

HERE = Path(__file__)
ROOT = HERE.parents[3] / "shared" / "data"
PAGE = HERE.parents[2] / "docs" / "data.md"
on_real_files = pytest.mark.skipif(not ROOT.is_dir(), reason=f"real data are not in {ROOT}")

WORDS = st.lists(st.sampled_from("abcd"), max_size=12)


def ask(text: str) -> Prompt:
    return Prompt.create([{"role": "user", "content": text}], "1")


class Questions:
    def __init__(self, *texts: str) -> None:
        self.texts = texts

    def prompts(self) -> list[Prompt]:
        return [ask(text) for text in self.texts]


@given(st.lists(WORDS, max_size=6), st.lists(WORDS, max_size=6), st.integers(1, 5))
def test_shares_are_those_of_the_definition(train, questions, size):
    """Every pair is compared with every other, as the definition says and no index helps."""

    def grams(words):
        runs = [tuple(words[i : i + size]) for i in range(len(words) - size + 1)]
        return set(runs or [tuple(words)] if words else [])

    prompts = [ask(" ".join(words)) for words in train]
    asked = [ask(" ".join(words)) for words in questions]
    found = find_overlaps(prompts, {"b": asked}, size, 0.4)
    expected = [
        (t, q, len(grams(t) & grams(q)) / len(grams(q)), t == q)
        for t in train
        for q in questions
        if grams(q) and len(grams(t) & grams(q)) / len(grams(q)) >= 0.4
    ]
    assert [
        (o.prompt.question.split(), o.question.question.split(), o.share, o.exact) for o in found
    ] == expected


@pytest.mark.parametrize(("turn", "exact"), [(2, True), (1, False), (0, False)])
def test_a_question_is_found_in_every_turn_of_a_conversation(turn, exact):
    texts = ["Be brief, please.", "Here is what you asked for before.", "And now the next one."]
    texts[turn] = "How many clips did Natalia sell in April and in May?"
    roles = ("system", "assistant", "user")
    chat = [{"role": r, "content": t} for r, t in zip(roles, texts, strict=True)]
    [overlap] = find_overlaps([Prompt.create(chat, "1")], {"b": [ask(texts[turn])]}, 4, 1.0)
    assert overlap.exact == exact


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (r"If $\left(x\right)^2 = \dfrac{1}{2}$, find x.", r"if $(x)^{2}=\frac{1}{2}$ Find x"),
        ("Aya's 9-km walk\n takes four hours.", "AYA\u2019S 9 km walk takes four hours"),
        (r"$1, \ldots, n \cdots$", r"1 \dots n \dots"),
        (r"$x \quad \text{where } y$", "x where y"),
        ("\uff11\uff12 cats", "12 cats"),
    ],
)
def test_letter_case_punctuation_and_layout_do_not_count(one, other):
    [overlap] = find_overlaps([ask(one)], {"b": [ask(other)]}, 4, 1.0)
    assert overlap.exact
    assert overlap.share == 1


@pytest.mark.parametrize(
    ("one", "other"),
    [("What is 12 + 13?", "What is 12 + 14?"), (r"Find $\sin x$.", r"Find $\cos x$.")],
)
def test_short_questions_that_differ_in_a_word_are_different(one, other):
    assert find_overlaps([ask(one)], {"b": [ask(other)]}, 8, 0.5) == []


def test_a_question_inside_a_longer_one_is_found():
    question = " ".join(f"w{n}" for n in range(20))
    longer = ask(f"Hint first. {question} Think.")
    found = find_overlaps([longer], {"b": [ask(question)]}, 8, 0.5)
    assert [(o.share, o.exact) for o in found] == [(1.0, False)]


def test_dropping_takes_known_training_prompts_and_warning_none(caplog):
    train = [ask(f"question {n}?") for n in range(12)]
    split = Split(train, [ask("question 3?")])
    against = {
        "b": {"table": Questions("Question 3!", "Question 99!")},
        "c": {"table": Questions("Question 5")},
    }
    assert Contamination(against, action="warn").apply(split) is split
    assert "2 of 12 training questions are in a benchmark" in caplog.text
    assert "of b's row" in caplog.text
    dropped = Contamination(against, action="drop").apply(split)
    assert dropped.train == [p for p in train if p.question not in ("question 3?", "question 5?")]
    assert dropped.held_out == split.held_out
    with pytest.raises(UserError, match="no training question is left"):
        Contamination(against, action="drop").apply(Split(train[3:4], train))


@pytest.mark.parametrize(
    "settings", [{"action": "cut"}, {"words": 0}, {"share": 0.0}, {"share": 1.1}], ids=str
)
def test_settings_that_cannot_work_are_refused(settings):
    [(name, value)] = settings.items()
    with pytest.raises(UserError, match=rf"^{name}={value}: give"):
        Contamination(**settings)


@pytest.mark.slow
def test_40_000_rows_against_2_000_questions_take_seconds():
    draw = random.Random(0)
    words = [f"word{n}".translate(str.maketrans("0123456789", "abcdefghij")) for n in range(3000)]
    texts = [" ".join(draw.choices(words, k=40)) for _ in range(42_000)]
    train, asked = [ask(t) for t in texts[:40_000]], [ask(t) for t in texts[40_000:] + texts[:5]]
    start = time.process_time()
    found = find_overlaps(train, {"b": asked}, 8, 0.5)
    assert time.process_time() - start < 30
    assert [overlap.prompt for overlap in found] == train[:5]


def composed(*overrides: str):
    with initialize_config_dir(version_base="1.3", config_dir=str(conf_directory())):
        return compose(CONFIG_NAME, overrides=list(overrides))


def documented() -> dict[str, dict[str, list[int]]]:
    """Numbers of the page's table, by data set and benchmark."""
    rows = re.findall(r"^\| `(\w+)` \| `(\w+)` \| ([\d, |]+) \|$", PAGE.read_text(), re.M)
    found: dict[str, dict[str, list[int]]] = {}
    for data, benchmark, numbers in rows:
        counts = [int(number.replace(",", "")) for number in numbers.split("|")]
        found.setdefault(data, {})[benchmark] = counts
    return found


@pytest.mark.slow
@on_real_files
@pytest.mark.parametrize("data", ["deepscaler", "gsm8k"])
def test_the_numbers_of_the_page_are_found_again_and_exact_is_exact(data):
    node = composed(f"data={data}", f"data_root={ROOT}", "data.source.train=null")
    train = build(node.data.source, "data.source").load(0).train
    contamination = build(node.data.contamination, "data.contamination")
    benchmarks = contamination.benchmarks()
    overlaps = find_overlaps(train, benchmarks, contamination.words, contamination.share)
    counts = {}
    for name, questions in benchmarks.items():
        here = [overlap for overlap in overlaps if overlap.benchmark == name]
        exact = {overlap.question.id for overlap in here if overlap.exact}
        known = {overlap.question.id for overlap in here}
        rows = {overlap.prompt.id for overlap in here}
        counts[name] = [len(questions), len(exact), len(known - exact), len(rows)]
    assert counts == documented()[data]
    for overlap in overlaps:
        if overlap.exact:
            assert overlap.prompt.gold.strip("$ ") == overlap.question.gold.strip("$ ")


def test_a_run_drops_what_is_in_a_benchmark_and_goes_on_without_one_that_is_missing(
    tmp_path, tokenizer, caplog
):
    (tmp_path / "rows.jsonl").write_text(
        "".join(f'{{"q": "Add the digits: {n} 1", "a": "{n + 1}"}}\n' for n in range(9))
    )
    (tmp_path / "test.jsonl").write_text('{"q": "add the digits 4 1", "a": "5"}\n' * 2)
    table = "_target_:p2o.data.table.Table,question:'{q}',answer:a"
    node = composed(
        "data=svamp",
        "data/contamination=gsm8k",
        f"data.source.path={tmp_path}/rows.jsonl",
        "data.source.question='{q}'",
        *("data.source.answer=a", "data.source.held_out=1", "data.source.train=null"),
        "~data.contamination.against.gsm8k",
        f"+data.contamination.against.mine.table={{{table},path:{tmp_path}/test.jsonl}}",
        f"+data.contamination.against.other.table={{{table},path:{tmp_path}/nowhere.jsonl}}",
        "data.contamination.action=drop",
    )
    asked = "Add the digits: 4 1"
    split = prepare(node, ChatRenderer(tokenizer), Numeric())
    questions = {prompt.question for prompt in split.train}
    assert asked not in questions
    assert len(questions) == (8 if split.held_out[0].question == asked else 7)
    assert "not compared with other: against.other.table.path=" in caplog.text
