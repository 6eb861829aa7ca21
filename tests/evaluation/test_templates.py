"""Templates at inference time."""

import json
from dataclasses import replace

import pytest

from p2o.errors import UserError
from p2o.evaluation.summary import summarise
from p2o.evaluation.templates import (
    Assigned,
    Majority,
    OneTemplate,
    check_votes,
    read_templates,
)
from p2o.prompt import Prompt
from p2o.verifiers import ExactMatch
from p2o.verifiers.function import Function
from p2o_callbacks.pool import PromptPool, Template
from tests.evaluation.saying import evaluated

HARD = Prompt.create([{"role": "user", "content": "hard"}], "1")
OTHER = Prompt.create([{"role": "user", "content": "other"}], "1")
POOL = PromptPool(
    templates=tuple(Template(t, score=s) for t, s in (("", 0.1), ("slow", 0.4), ("careful", 0.8))),
    cover=(1, 2),
    assignment={HARD.id: (1, 2, None)},
)


@pytest.fixture
def path(tmp_path):
    file = tmp_path / "pool.json"
    file.write_text(json.dumps(POOL.state_dict()))
    return str(file)


def test_without_a_template_nothing_is_added():
    assert read_templates(None, "best", 0).texts(HARD, 0) == [""]


def test_a_text_is_for_all():
    assert read_templates("Take care.", "best", 0).texts(OTHER, 3) == ["Take care."]


def test_the_best_of_a_pool_is_the_one_with_the_highest_score(path):
    use = read_templates(path, "best", 0)
    assert isinstance(use, OneTemplate)
    assert use.text == "careful"


def test_all_in_use_vote(path):
    use = read_templates(path, "majority", 0)
    assert isinstance(use, Majority)
    assert use.texts(OTHER, 0) == ["slow", "careful"]


def test_a_hard_sample_has_its_own_and_others_draw_by_score(path):
    use = read_templates(path, "assigned", 0)
    assert isinstance(use, Assigned)
    assert [use.texts(HARD, n)[0] for n in range(6)] == ["slow", "careful", ""] * 2
    drawn = [use.texts(OTHER, n)[0] for n in range(600)]
    assert set(drawn) == {"slow", "careful"}
    # In the ratio of 0.8 to 0.4.
    assert 340 < drawn.count("careful") < 460
    assert drawn == [use.texts(OTHER, n)[0] for n in range(600)]


def test_the_bare_prompt_in_a_cover_is_no_template_and_is_drawn_as_in_training(tmp_path):
    pool = replace(POOL, templates=(Template("", score=0.9), *POOL.templates[1:]), cover=(0, 1, 2))
    path = tmp_path / "pool.json"
    path.write_text(json.dumps(pool.state_dict()))
    assert read_templates(str(path), "best", 0).texts(OTHER, 0) == ["careful"]
    assert read_templates(str(path), "majority", 0).texts(OTHER, 0) == ["slow", "careful"]
    use = read_templates(str(path), "assigned", 0)
    assert {use.texts(OTHER, n)[0] for n in range(100)} == {"", "slow", "careful"}


def test_a_pool_without_a_template_in_use_is_refused(tmp_path):
    (tmp_path / "empty.json").write_text(json.dumps(PromptPool().state_dict()))
    with pytest.raises(UserError, match="empty.json: no template is in use"):
        read_templates(str(tmp_path / "empty.json"), "best", 0)


def test_a_template_that_shows_columns_of_a_question_s_own_is_not_used(tmp_path):
    telling = Template("The plan: {plan}", columns=True, score=0.9)
    pool = replace(
        POOL,
        templates=(*POOL.templates, telling),
        cover=(1, 2, 3),
        assignment={HARD.id: (1, 3, None), OTHER.id: (3, 3)},
    )
    path = tmp_path / "pool.json"
    path.write_text(json.dumps(pool.state_dict()))
    assert read_templates(str(path), "best", 0).texts(OTHER, 0) == ["careful"]
    assert read_templates(str(path), "majority", 0).texts(OTHER, 0) == ["slow", "careful"]
    use = read_templates(str(path), "assigned", 0)
    assert [use.texts(HARD, n)[0] for n in range(4)] == ["slow", ""] * 2
    # Of its own none is left, so it draws as others do.
    assert {use.texts(OTHER, n)[0] for n in range(100)} == {"slow", "careful"}


@pytest.mark.parametrize("mode", ["best", "majority", "assigned"])
def test_a_pool_whose_templates_all_show_columns_is_refused_in_one_line(tmp_path, mode):
    telling = Template("The plan: {plan}", columns=True, score=0.9)
    pool = PromptPool((Template(""), telling), (0, 1))
    (tmp_path / "pool.json").write_text(json.dumps(pool.state_dict()))
    with pytest.raises(UserError, match="pool.json: every template in use shows columns") as caught:
        read_templates(str(tmp_path / "pool.json"), mode, 0)
    assert "\n" not in str(caught.value)


POOLS = [
    {"templates": [], "cover": [0], "assignment": {}},
    {"templates": [], "cover": [], "assignment": []},
    {"templates": [], "cover": [], "assignment": {"a": [3]}},
    POOL.state_dict() | {"templates": [{"text": 1, "parents": [], "score": 1, "dev_scores": {}}]},
    POOL.state_dict()
    | {"templates": [{"text": "", "parents": [], "score": "?", "dev_scores": {}}]},
]


@pytest.mark.parametrize(
    "content", ["{", "[]", '{"templates": 3}', "[" * 100_000, *map(json.dumps, POOLS)], ids=str
)
def test_a_file_that_is_no_pool_is_refused(tmp_path, content):
    (tmp_path / "broken.json").write_text(content)
    with pytest.raises(UserError, match="broken.json: not a pool of p2o-train"):
        read_templates(str(tmp_path / "broken.json"), "best", 0)


def row(answer, reward, template):
    return {
        "benchmark": "one",
        "prompt_id": "a",
        "sample": 0,
        "template": template,
        "answer": answer,
        "reward": reward,
        "solved": reward == 1.0,
        "tokens": 5,
        "finish_reason": "stop",
        "status": "ok" if answer else "no_answer",
    }


def test_the_majority_s_verdict_counts():
    rows = [row("7", 1.0, "a"), row("8", 0.0, "b"), row(" 8", 0.0, "c"), row(None, 0.0, "d")]
    assert summarise(rows)["one"]["accuracy"] == 0.0
    rows[2] = row("7 ", 1.0, "c")
    result = summarise(rows)["one"]
    assert result["accuracy"] == 1.0
    assert (result["samples"], result["responses"], result["no_answer"]) == (1, 4, 0.25)


def test_a_vote_in_which_nobody_has_one_is_refused():
    """As of a function that gives numbers: the first template would win without a word."""
    right, wrong = (row(None, reward, "a") | {"status": "ok"} for reward in (1.0, 0.0))
    with pytest.raises(UserError, match="^template_mode=majority: the verifier names no answer"):
        check_votes("one", [wrong, right, row(None, 0.0, "b")])
    check_votes("one", [right, row("7", 1.0, "b")])
    # With nothing right, any of them is as good as the others.
    check_votes("one", [wrong, row(None, 0.0, "b")])


def test_an_evaluation_looks_whether_its_verifier_lets_templates_vote(tmp_path):
    (tmp_path / "mine.py").write_text("def same(completion, answer): return completion == answer\n")
    number = Function(f"{tmp_path}/mine.py:same")
    with pytest.raises(UserError, match="names no answer in responses to held_out, so templates"):
        evaluated(tmp_path, "8", number, Majority(POOL))
    assert not list(tmp_path.glob("completions/*.parquet"))
    # One template has no vote to win.
    assert len(evaluated(tmp_path, "8", number, Majority(replace(POOL, cover=(1,))))) == 2
    assert len(evaluated(tmp_path / "named", "8", ExactMatch(None), Majority(POOL))) == 4


def test_accuracy_is_the_share_that_is_solved_and_not_the_mean_reward():
    """A reward of 0.3 for the form alone is no answer that is right at 30 %."""
    rows = [row("7", 0.3, "") | {"prompt_id": str(n), "solved": n == 3} for n in range(4)]
    result = summarise(rows)["one"]
    assert result["accuracy"] == 0.25
    assert result["reward"] == pytest.approx(0.3)
    assert result["pass_at"][1] == 0.25


def test_a_response_without_a_verdict_is_no_reward_of_0():
    lost = {"status": "timeout", "solved": None}
    rows = [
        row("7", float(n < 2), "") | {"prompt_id": str(n // 2), "sample": n % 2} for n in range(6)
    ]
    rows[1] |= lost | {"reward": 0.0}
    rows[4] |= lost
    rows[5] |= lost
    result = summarise(rows)["one"]
    assert result["reward"] == 0.5
    assert result["accuracy"] == pytest.approx(1 / 6)
    assert result["statuses"]["timeout"] == 3
    assert summarise([one | lost for one in rows])["one"]["reward"] is None
