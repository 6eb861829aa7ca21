"""The answers of a run are given again."""

from dataclasses import asdict

import pytest

from p2o.errors import UserError
from p2o.records.writing import append
from p2o.reflection import (
    PolicyHintWriter,
    PolicyReflection,
    ReflectionRequest,
    ReplayedReflection,
)
from p2o.reflection.meta_prompt import render_meta_prompt
from tests.reflection.test_language_model import bound

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


def of_others(number):
    """Records of one more problem each."""
    return [{**RECORDS[0], "Inputs": f"{n} + {n} ?"} for n in range(number)]


def test_a_run_that_left_records_out_for_want_of_room_is_replayed(tmp_path):
    asked = [ReflectionRequest("one", of_others(number), number) for number in (4, 2, 1)]
    # A token for each character: there is room for two records.
    policy = PolicyReflection(max_prompt_tokens=len(render_meta_prompt(asked[1])))
    bound(policy)
    written = policy.reflect(asked)
    assert written == ["current 4", "current 2", "current 1"]
    said = [asdict(exchange) for exchange in policy.exchanges if exchange is not None]
    assert [each["prompt"].count("# Example") for each in said] == [2, 2, 1]
    append(tmp_path, "exchanges", said)
    assert ReplayedReflection(str(tmp_path)).reflect(asked) == written


def test_the_hints_of_a_hint_writer_are_refused_at_once(tmp_path):
    prompts = [PolicyHintWriter().question(request(template)) for template in ("", "one")]
    rows = [{"prompt": prompt, "answer": "Look.", "cut_off": False} for prompt in prompts]
    append(tmp_path, "exchanges", rows)
    with pytest.raises(UserError, match="^run=.* are those of a hint writer"):
        ReplayedReflection(str(tmp_path))
