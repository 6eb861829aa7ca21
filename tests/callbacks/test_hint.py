"""A hint is a plain value, and a template is a hint with its scores."""

import json

import pytest

from p2o_callbacks import Hint, PromptPool, Template
from p2o_callbacks.hint import as_hint

SHOWN = Template("", score=0.5, turns=(("1 + 1?", "2"), ("2 + 2?", "4")))
FORCED = Template("", score=0.9, prefix="{solution:50%}", columns=True)
POOL = PromptPool((Template("Think.", score=0.1), SHOWN, FORCED), (0, 1, 2), {"a": (0, 1, 2, None)})


def test_a_rollout_has_the_hint_that_it_is_assigned():
    hints = [POOL.hint_for("a", rollout) for rollout in range(4)]
    assert hints == [
        "Think.",
        Hint("", turns=SHOWN.turns),
        Hint("", prefix="{solution:50%}", columns=True),
        "",
    ]
    assert POOL.hint_for("not assigned", 0) == ""


def test_hints_survive_json_in_readable_form():
    text = json.dumps(POOL.state_dict())
    assert PromptPool.from_state_dict(json.loads(text)) == POOL
    assert '"turns": [["1 + 1?", "2"], ["2 + 2?", "4"]]' in text
    assert '"prefix": "{solution:50%}", "columns": true' in text


def test_a_beginning_that_is_learned_stays_so():
    hint = Template("", prefix="{solution}", columns=True, learned=True)
    pool = PromptPool((hint,), (0,), {"a": (0,)})
    again = PromptPool.from_state_dict(json.loads(json.dumps(pool.state_dict())))
    assert again == pool
    assert as_hint(again.hint_for("a", 0)).learned
    assert hint.label != Template("", prefix="{solution}", columns=True).label


def test_an_instruction_is_written_as_it_always_was():
    written = PromptPool((Template("Think."),)).state_dict()["templates"][0]
    assert list(written) == ["text", "parents", "score", "dev_scores", "solved"]


@pytest.mark.parametrize(
    ("hint", "empty", "name"),
    [
        (Hint(" "), True, ""),
        (Hint("", columns=True), True, ""),
        (Hint("Think."), False, "Think."),
        (Hint("", prefix="So"), False, '{"text": "", "prefix": "So"}'),
        (Hint("", turns=(("é", "f"),)), False, '{"text": "", "turns": [["é", "f"]]}'),
    ],
)
def test_a_hint_has_a_name_unless_it_is_empty(hint, empty, name):
    assert (hint.empty, hint.label) == (empty, name)


def test_a_text_is_the_hint_in_front_of_a_question():
    assert as_hint("Think.") == Hint("Think.")
    assert as_hint(SHOWN) is SHOWN
    assert {Hint("", prefix="a"): 1}[Hint("", prefix="a")] == 1


def test_hints_that_are_in_use_are_not_the_empty_one():
    assert PromptPool((Template(""), SHOWN), (0, 1)).in_use == (1,)


def test_the_best_hint_is_one_that_any_problem_can_have():
    assert POOL.best == Hint("", turns=SHOWN.turns)
    assert PromptPool().best == ""
    assert PromptPool((Template(""),), (0,)).best == ""
