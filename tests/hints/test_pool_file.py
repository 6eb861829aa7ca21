"""``pool.json``: what it keeps of a run, and what it refuses."""

import json
import weakref
from dataclasses import replace

import pytest

from p2o.errors import UserError
from p2o.hints import pooling
from p2o.hints.pool_export import into_dspy, put_before
from p2o.hints.pool_file import Origin, PooledHint, PoolFile, read_pool, seed_texts
from p2o.hints.pooling import gather_hints, last_results, read_epochs, write_pool
from p2o.prompt import hint_id
from p2o_callbacks import Moment, PromptPool, Template
from p2o_callbacks.pool_files import write_pool as write_epoch


def template(text, parents=(), **scores):
    right = frozenset(problem for problem, score in scores.items() if score)
    return Template(text, parents, sum(scores.values()) / 2, scores, right)


EARLY = PromptPool(
    (
        template("", a=0.0, b=0.0),
        template("Think.", a=1.0, b=0.0),
        template("Draw.", (1,), a=1.0, b=1.0),
    ),
    (1,),
    {"a": (1,)},
)
LATE = PromptPool(
    (template("", a=0.0, b=0.0), template("Think.", (0,), a=1.0, b=0.0)), (1,), {"b": (1,)}
)
LAST = PromptPool(
    (
        Template("Think.", (), 0.5, {"b": 1.0, "c": 0.0}, frozenset("b")),
        Template("Guess.", (), 1.0, {"c": 1.0}, frozenset("c")),
    ),
    (1,),
    {"c": (1,)},
)
"""Of the few problems that are hard at the end."""
EMPTY = PromptPool()


def pool(*pools):
    origin = Origin(name="some/model", sha256="0" * 64)
    return PoolFile(model=origin, data=origin, hints=gather_hints(pools))


def test_a_pool_has_each_hint_of_a_run_once_with_what_all_searches_have_shown():
    think, draw, guess = gather_hints([EARLY, LATE, LAST, EMPTY])
    assert (think.text, think.in_use, think.parents) == ("Think.", True, ())
    assert (think.tried, think.solved, think.score) == (3, 2, pytest.approx(2 / 3))
    assert (guess.tried, guess.solved, guess.score, guess.in_use) == (1, 1, 1.0, True)
    assert (draw.text, draw.score, draw.in_use) == ("Draw.", 1.0, False)
    assert draw.parents == (think.id,) == (hint_id("Think."),)
    assert (draw.tried, draw.solved, draw.kind) == (2, 2, "instruction")


def test_what_is_written_can_be_read_back_from_the_file_and_from_the_runs_folder(tmp_path):
    written = pool(EARLY, LATE)
    write_pool(tmp_path / "evolution" / "pool.json", written)
    assert read_pool(tmp_path) == read_pool(tmp_path / "evolution" / "pool.json") == written
    assert list(read_epochs(tmp_path / "evolution")) == []


def test_epochs_are_read_in_their_order_and_nothing_else(tmp_path):
    for number, each in ((10, LATE), (9, EARLY)):
        (tmp_path / f"epoch_{number:04d}.json").write_text(json.dumps(each.state_dict()))
    (tmp_path / "journal_0.jsonl").write_text("no pool")
    write_pool(tmp_path / "pool.json", pool())
    # Who gets which template is left out.
    assert list(read_epochs(tmp_path)) == [replace(each, assignment={}) for each in (EARLY, LATE)]
    (tmp_path / "epoch_0011.json").write_text("{")
    with pytest.raises(UserError, match=r"epoch_0011\.json: not a pool"):
        list(read_epochs(tmp_path))


@pytest.mark.parametrize("goes_over", [gather_hints, last_results])
def test_of_the_pools_of_a_run_one_at_a_time_is_in_memory(tmp_path, goes_over, monkeypatch):
    for number in range(6):
        write_epoch(tmp_path, Moment(number), EARLY)
    made = []

    def counted(path):
        # The last one is there until the next takes its place.
        assert sum(pool() is not None for pool in made) <= 1
        pool = read(path)
        made.append(weakref.ref(pool))
        return pool

    read = pooling._read_epoch
    monkeypatch.setattr(pooling, "_read_epoch", counted)
    assert goes_over(read_epochs(tmp_path))
    assert len(made) == 6


@pytest.mark.parametrize("each", [EARLY, EMPTY])
def test_the_file_of_a_pool_is_indented_but_for_who_gets_which_template(tmp_path, each):
    write_epoch(tmp_path, Moment(3, 12), each)
    text = (tmp_path / "epoch_0003_step_00000012.json").read_text()
    content = json.loads(text)
    assert list(content) == ["epoch", "step", "templates", "cover", "assignment"]
    assert content == {"epoch": 3, "step": 12, **each.state_dict()}
    *lines, dealt, last = text.splitlines()
    assert (dealt, last) == (f'  "assignment": {json.dumps(content["assignment"])}', "}")
    rest = json.dumps({key: content[key] for key in content if key != "assignment"}, indent=2)
    assert "\n".join(lines) == rest.removesuffix("\n}") + ","


def changed(**more):
    return json.loads(pool(EARLY).model_dump_json()) | more


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "no pool can be read there"),
        ("[1, 2]", "not a pool of p2o; its 'format' should be 'p2o-pool'"),
        (json.dumps(EARLY.state_dict()), "not a pool of p2o"),
        (json.dumps(changed(version=2)), "version 2 of the schema; this p2o reads 1"),
        (json.dumps(changed(more=1)), "more: Extra inputs"),
        (json.dumps(changed(hints=[{"id": "x"}])), r"hints\.0\.text: Field required"),
    ],
)
def test_what_is_no_pool_is_refused_in_one_line(tmp_path, content, message):
    path = tmp_path / "pool.json"
    path.write_text(content)
    with pytest.raises(UserError, match=message) as refused:
        read_pool(path)
    assert "\n" not in str(refused.value)
    with pytest.raises(UserError, match=f"^seed_pool={path}: "):
        seed_texts(str(path))


def test_a_search_starts_from_hints_in_use_or_from_the_best(tmp_path):
    path = tmp_path / "pool.json"
    write_pool(path, pool(EARLY, LATE))
    assert seed_texts(str(path)) == ["Think."]
    write_pool(path, pool(PromptPool(EARLY.templates)))
    assert seed_texts(str(path)) == ["Draw.", "Think."]
    write_pool(path, pool())
    with pytest.raises(UserError, match="the pool has no hint that is a text alone"):
        seed_texts(str(path))


def test_the_best_has_solved_most_though_another_may_have_scored_more():
    made = pool(EARLY, LATE, LAST)
    assert [hint.text for hint in made.ranked] == ["Think.", "Guess.", "Draw."]
    assert made.best.text == "Think."


def test_the_best_is_in_use_though_another_may_have_scored_more():
    assert pool(EARLY).best.text == "Think."
    assert pool(PromptPool(EARLY.templates)).best.text == "Draw."
    assert PooledHint(id="1", text="x").score is None


PROGRAM = {
    "predict": {"demos": [], "signature": {"instructions": "Old.", "fields": []}, "lm": None},
    "check.inner": {"signature": {"instructions": "Older.", "fields": []}},
    "metadata": {"dependency_versions": {"dspy": "3.0"}},
}


@pytest.mark.parametrize(
    ("predictor", "expected"),
    [(None, ["New.", "New."]), ("predict", ["New.", "Older."]), ("check.inner", ["Old.", "New."])],
)
def test_instructions_of_a_dspy_program_are_replaced_and_nothing_else(predictor, expected):
    made = json.loads(into_dspy("New.", PROGRAM, predictor))
    assert [made[name]["signature"]["instructions"] for name in ("predict", "check.inner")] == (
        expected
    )
    for name in ("predict", "check.inner"):
        made[name]["signature"]["instructions"] = PROGRAM[name]["signature"]["instructions"]
    assert made == PROGRAM


def test_one_predictor_saved_alone_is_a_program_too():
    made = json.loads(into_dspy("New.", PROGRAM["predict"], None))
    assert made["signature"]["instructions"] == "New."


def test_a_program_without_instructions_and_a_predictor_that_is_not_there_are_refused():
    with pytest.raises(UserError, match="no predictor with instructions"):
        into_dspy("New.", {"metadata": {}}, None)
    with pytest.raises(UserError, match="--predictor=other: there are check.inner, predict"):
        into_dspy("New.", PROGRAM, "other")


def test_a_hint_stands_before_a_text_or_before_the_last_message():
    talk = [{"role": "system", "content": "Hi."}, {"role": "user", "content": "2 + 2?"}]
    [row, other] = put_before("Go.", [{"q": "1 + 1?", "n": 1}, {"q": talk}], "q")
    assert row == {"q": "Go.\n\n1 + 1?", "n": 1}
    assert other["q"] == [talk[0], {"role": "user", "content": "Go.\n\n2 + 2?"}]
    assert talk[1]["content"] == "2 + 2?"
    with pytest.raises(UserError, match="row 1: no text and no conversation in column 'q'"):
        put_before("Go.", [{"q": "1 + 1?"}, {"other": 1}], "q")


def test_a_hint_that_is_more_than_a_text_is_kept_and_goes_nowhere_else(tmp_path):
    shown = Template("", turns=(("1 + 1?", "2"),), score=1.0)
    mixed = PromptPool((template(""), shown, template("Think.", (1,))), (1, 2))
    more, think = gather_hints([mixed])
    assert (more.kind, more.in_use) == ("hint", True)
    assert json.loads(more.text)["turns"] == [["1 + 1?", "2"]]
    assert think.parents == (more.id,)
    path = tmp_path / "pool.json"
    write_pool(path, pool(mixed))
    assert read_pool(path).best == think
    assert seed_texts(str(path)) == ["Think."]
