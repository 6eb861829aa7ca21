"""With the library itself; its scorers judge its own answers."""

import json
import sys

import pytest
from reasoning_gym.factory import DATASETS, create_dataset

from p2o.errors import UserError
from p2o.prompt import Prompt
from p2o.reasoning_gym.source import ReasoningGym
from p2o.reasoning_gym.tasks import Task, draw, unpack
from p2o.reasoning_gym.verifier import ReasoningGymScorer
from p2o.verifiers import Status
from p2o.verifiers.sandbox.values import encode, plain_base

pytestmark = pytest.mark.slow

ORDERED_BY_HASH = ["isomorphic_strings", "ransom_note", "word_ladder"]
"""Tasks of the library whose entries depend on the order of sets."""
WITH_TUPLES = "arc_agi"
"""Its scorer tells tuples from lists."""


@pytest.fixture(scope="module")
def split():
    tasks = ["chain_sum", *ORDERED_BY_HASH, WITH_TUPLES, "graph_color", "string_insertion"]
    return ReasoningGym(tasks, [0, 1], train=40, held_out=20).load(1)


@pytest.fixture(scope="module")
def scorer():
    scorer = ReasoningGymScorer(seconds=60.0)
    yield scorer
    scorer.pool.close()


def of(split, task):
    return next(prompt for prompt in split.train if prompt.meta["task"] == task)


def test_sizes_levels_and_no_question_twice(split):
    assert (len(split.train), len(split.held_out)) == (40, 20)
    prompts = split.train + split.held_out
    assert len({prompt.question for prompt in prompts}) == 60
    assert {prompt.meta["level"] for prompt in prompts} == {0, 1}
    assert len({prompt.meta["task"] for prompt in split.train}) == 7


def test_what_a_seed_makes_whatever_the_hash_seed(monkeypatch):
    def load(hash_seed, seed):
        monkeypatch.setenv("PYTHONHASHSEED", hash_seed)
        return ReasoningGym(ORDERED_BY_HASH, train=9, held_out=3).load(seed)

    first, again, other = load("1", 0), load("2", 0), load("2", 1)
    assert first == again
    # Held-out problems are the same for every seed.
    assert other.held_out == first.held_out
    assert other.train != first.train


def test_own_answers_are_right_also_after_a_way_through_json(split, scorer):
    saved = [
        Prompt(p.messages, p.gold, p.id, json.loads(json.dumps(p.meta)))
        for p in (split.train + split.held_out)
        if p.gold
    ]
    assert scorer.check_gold(saved) == [None] * len(saved)
    scores = scorer.score([f"So <answer>{p.gold}</answer>" for p in saved], saved)
    assert {score.reward for score in scores} == {1.0}


def test_wrong_missing_and_half_answers(split, scorer):
    prompt = of(split, "chain_sum")
    texts = [
        "7",
        "<answer></answer>",
        "<answer>1e9</answer>",
        f"<answer>{prompt.gold} or 1</answer>",
    ]
    scores = scorer.score(texts, [prompt] * 4)
    assert [score.reward for score in scores] == [0.0] * 4
    none = [Status.NO_ANSWER] * 2
    assert [score.status for score in scores] == [*none, Status.OK, Status.OK]
    half = ReasoningGymScorer(partial=True)._to_score("x", 0.25)
    assert (half.reward, half.status) == (0.25, Status.OK)
    none = ReasoningGymScorer(partial=True)._to_score("x", float("nan"))
    assert (none.reward, none.status) == (0.0, Status.ERROR)


def test_a_pattern_that_takes_for_ever_costs_its_own_answer_only(split):
    prompt = of(split, "chain_sum")
    scorer = ReasoningGymScorer(pattern=r"(?:\w|\w\w)+=(-?\d+)", seconds=3.0)
    slow, quick = scorer.score(["so" * 40, f"sum={prompt.gold}"], [prompt] * 2)
    scorer.pool.close()
    assert slow.status == Status.TIMEOUT
    assert quick.reward == 1.0


def test_an_answer_that_a_scorer_evaluates_does_nothing(split, scorer, tmp_path):
    # The library passes this task's answers to eval.
    prompt, file = of(split, "string_insertion"), tmp_path / "file"
    file.write_text("here")
    attack = f"[__import__('os').remove({str(file)!r})]"
    [score] = scorer.score([f"<answer>{attack}</answer>"], [prompt])
    assert score.reward == 0.0
    assert file.exists()
    entry = unpack(prompt.meta["entry"])
    task = create_dataset("string_insertion")
    assert task.score_answer(attack, entry) == 0.0
    assert not file.exists(), "the scorer does not evaluate it any more; find another task"


def test_a_scorer_that_does_not_understand_an_answer_costs_that_answer(scorer):
    [entries] = draw([Task("prime_factorization")], [(0, 1)])
    meta = {"task": "prime_factorization", "level": None, "settings": {}, "entry": entries[0][1]}
    prompt = Prompt.create([{"role": "user", "content": "?"}], "2", **meta)
    [score] = scorer.score(["<answer>two times</answer>"], [prompt])
    assert (score.reward, score.status) == (0.0, Status.PARSE_ERROR)
    assert "ValueError" in score.detail


def test_settings_reach_the_task_and_its_level():
    settings = {"chain_sum": {"min_terms": 6, "max_terms": 6}}
    split = ReasoningGym(["chain_sum"], [0], train=3, held_out=3, settings=settings).load(0)
    for prompt in split.train:
        assert unpack(prompt.meta["entry"])["metadata"]["num_terms"] == 6


@pytest.mark.slow
def test_entries_of_all_tasks_are_plain_data_and_come_back():
    for name in sorted(set(DATASETS) - {"composite"}):
        entry = create_dataset(name, seed=1, size=2)[0]
        plain = json.loads(json.dumps(encode(entry, plain_base)))
        assert unpack(plain) == entry, name


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ({"tasks": ["chain_sun"]}, "no task 'chain_sun'; near it are .*chain_sum"),
        ({"tasks": ["acre"], "levels": [0]}, "levels: acre have none"),
        ({"tasks": ["chain_sum"], "levels": [-1]}, "levels"),
        ({"tasks": ["chain_sum"], "train": 0}, "train=0"),
        ({"tasks": ["chain_sum"], "settings": {"chain_sum": {"tems": 1}}}, "chain_sum .*'tems'"),
        ({"tasks": ["caesar_cipher"], "levels": [3]}, "caesar_cipher at level 3: rotation"),
        ({"tasks": ["coin_flip"], "train": 10**6}, "coin_flip .* different problems left"),
    ],
)
def test_what_cannot_be_had_is_refused_by_name(arguments, says):
    with pytest.raises(UserError, match=says):
        ReasoningGym(**arguments).load(0)


def test_without_the_package_the_way_to_it_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "reasoning_gym.factory", None)
    for make in (ReasoningGymScorer, lambda: ReasoningGym(["chain_sum"]).load(0)):
        with pytest.raises(UserError, match="'pip install reasoning-gym'"):
            make()


def test_prompts_of_other_sources_are_named(scorer):
    other = Prompt.create([{"role": "user", "content": "1+1"}], "2")
    assert scorer.check_gold([other]) == ["no problem of reasoning-gym"]
