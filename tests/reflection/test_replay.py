"""The answers of a run are given again."""

import pytest

from p2o.errors import UserError
from p2o.records.writing import append
from p2o.reflection import ReflectionRequest, ReplayedReflection
from p2o.reflection.meta_prompt import render_meta_prompt

RECORDS = [{"Inputs": "1 + 1 ?", "Generated Outputs": "3", "Feedback": "Wrong.", "score": 0.0}]


def request(template):
    return ReflectionRequest(template, RECORDS, 0)


def replay(run, *said):
    rows = [
        {"prompt": render_meta_prompt(request(template)), "answer": answer, "cut_off": cut_off}
        for template, answer, cut_off in said
    ]
    append(run, "exchanges", rows)
    return ReplayedReflection(str(run))


def test_a_prompt_gets_the_answers_it_got_in_their_order(tmp_path):
    reflection = replay(
        tmp_path,
        ("one", "```\nfirst\n```", False),
        ("two", "Sure: ```\nof two\n```", False),
        ("one", "```\nsecond\n```", False),
    )
    asked = [request(template) for template in ("two", "one", "one", "one")]
    assert reflection.reflect(asked) == ["of two", "first", "second", "first"]
    [two, *_] = reflection.exchanges
    assert two is not None
    assert two.answer == "Sure: ```\nof two\n```"


def test_what_failed_fails_again(tmp_path):
    reflection = replay(tmp_path, ("one", "", False), ("two", "it was cut", True))
    assert reflection.reflect([request("one"), request("two")]) == [None, None]


def test_a_search_that_goes_another_way_is_one_line(tmp_path):
    with pytest.raises(UserError, match="asks what it did not ask in that run"):
        replay(tmp_path, ("one", "yes", False)).reflect([request("other")])


def test_a_run_without_exchanges_is_refused(tmp_path):
    with pytest.raises(UserError, match="^run=.*no exchanges on record"):
        ReplayedReflection(str(tmp_path))
