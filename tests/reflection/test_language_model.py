import logging

import pytest

from p2o.reflection import PolicyReflection, ReflectionRequest, SelfReflection
from p2o.rollout.engine import Completion, SamplingParameters


class FakeRenderer:
    """One token for each character."""

    def render_plain(self, messages):
        (message,) = messages
        assert message["role"] == "user"
        return [ord(character) for character in message["content"]]

    def decode(self, token_ids):
        return "".join(map(chr, token_ids))


class FakeEngine:
    """Answers each prompt with its own name and the seed."""

    def __init__(self, name="current"):
        self.name = name
        self.calls = []
        self.copies = []

    def generate(self, prompts, sampling, seeds):
        self.calls.append((prompts, sampling, seeds))
        answers = [f"Sure.\n```\n{self.name} {seed}\n```" for seed in seeds]
        return [Completion(tuple(map(ord, text)), "stop", (0.0,) * len(text)) for text in answers]

    def update_weights(self, policy):
        raise AssertionError("reflection has no business with weights")

    def frozen_copy(self):
        self.copies.append(FakeEngine("frozen"))
        return self.copies[-1]


def request(seed, records=2, size=10, template="Parent."):
    rows = [
        {
            "Inputs": f"question {index} " + "x" * size,
            "Generated Outputs": "response",
            "Feedback": "feedback",
            "score": 0.0,
        }
        for index in range(records)
    ]
    return ReflectionRequest(template, rows, seed)


def bound(reflection):
    engine = FakeEngine()
    reflection.bind(engine, FakeRenderer())
    return engine


def test_all_requests_share_one_engine_call():
    reflection = PolicyReflection(max_new_tokens=7, temperature=0.3, top_p=0.9)
    engine = bound(reflection)
    assert reflection.reflect([request(11), request(22), request(33)]) == [
        "current 11",
        "current 22",
        "current 33",
    ]
    ((prompts, sampling, seeds),) = engine.calls
    assert len(prompts) == 3
    assert sampling == SamplingParameters(temperature=0.3, top_p=0.9, max_new_tokens=7)
    assert list(seeds) == [11, 22, 33]
    reflection.reflect([request(44)])
    assert len(engine.calls) == 2
    assert not engine.copies


def test_self_reflection_uses_the_weights_at_bind_only():
    reflection = SelfReflection()
    engine = bound(reflection)
    (copy,) = engine.copies
    assert reflection.reflect([request(1), request(2)]) == ["frozen 1", "frozen 2"]
    assert reflection.reflect([request(3)]) == ["frozen 3"]
    assert not engine.calls
    assert len(engine.copies) == 1
    assert len(copy.calls) == 2


def test_an_answer_without_a_template_is_none():
    reflection = PolicyReflection()
    engine = bound(reflection)
    engine.generate = lambda prompts, sampling, seeds: [
        Completion(tuple(map(ord, text)), "stop", (0.0,) * len(text)) for text in ("```", "Yes.")
    ]
    assert reflection.reflect([request(1), request(2)]) == [None, "Yes."]


def test_records_are_dropped_from_the_end_until_the_meta_prompt_fits(caplog):
    whole = PolicyReflection()
    engine = bound(whole)
    whole.reflect([request(0, records=2)])
    limit = len(engine.calls[0][0][0])

    reflection = PolicyReflection(max_prompt_tokens=limit)
    engine = bound(reflection)
    assert reflection.reflect([request(1, records=5), request(2, records=1)]) == [
        "current 1",
        "current 2",
    ]
    ((prompts, _, _),) = engine.calls
    text = "".join(map(chr, prompts[0]))
    assert len(prompts[0]) == limit
    assert "question 0" in text
    assert "question 1" in text
    assert "question 2" not in text
    assert text.endswith("within ``` blocks.")
    assert not caplog.records


def test_a_meta_prompt_too_long_with_one_record_is_none_and_warned_of(caplog):
    reflection = PolicyReflection(max_prompt_tokens=3000)
    engine = bound(reflection)
    requests = [request(1), request(2, records=3, size=5000), request(3)]
    with caplog.at_level(logging.WARNING):
        assert reflection.reflect(requests) == ["current 1", None, "current 3"]
    ((prompts, _, seeds),) = engine.calls
    assert len(prompts) == 2
    assert list(seeds) == [1, 3]
    (record,) = caplog.records
    assert "max_prompt_tokens=3000" in record.getMessage()


@pytest.mark.parametrize("limit", [None, 3000])
def test_a_request_without_records_is_answered(limit):
    reflection = PolicyReflection(max_prompt_tokens=limit)
    bound(reflection)
    assert reflection.reflect([request(1, records=0)]) == ["current 1"]


@pytest.mark.parametrize("reason", ["stop", "length"])
def test_an_answer_that_was_cut_off_is_no_template(reason):
    text, reflection = "Go slowly, and", PolicyReflection()
    engine = bound(reflection)
    engine.generate = lambda prompts, sampling, seeds: [
        Completion(tuple(map(ord, text)), reason, (0.0,) * len(text)) for _ in seeds
    ]
    assert reflection.reflect([request(1)]) == [None if reason == "length" else text]


def test_what_was_asked_and_answered_is_kept_word_for_word():
    reflection = PolicyReflection(max_prompt_tokens=10_000)
    engine = bound(reflection)
    huge = request(2, records=1, size=20_000)
    reflection.reflect([request(1), huge, request(3)])
    first, none, third = reflection.exchanges
    assert first is not None
    assert third is not None
    assert none is None
    ((prompts, _, _),) = engine.calls
    assert [list(map(ord, said.prompt)) for said in (first, third)] == prompts
    assert first.answer == "Sure.\n```\ncurrent 1\n```"
    assert not first.cut_off
