"""Answers by the kind of fault that they once showed, right and wrong ones of each."""

import json

import pytest
from math_data import DATA, prompt_of, read_pairs

from p2o.verifiers import BoxedMath, Math, Status

pytestmark = pytest.mark.slow

PAIRS = read_pairs("answer_kinds")
CASES = DATA / "answers" / "cases.jsonl"


@pytest.fixture(scope="module")
def verifier():
    verifier = Math(seconds=30, workers=2)
    yield verifier
    verifier.pool.close()


@pytest.mark.parametrize("kind", list(dict.fromkeys(pair.kind for pair in PAIRS)))
def test_answers_are_judged_as_a_teacher_would(kind, verifier):
    pairs = [pair for pair in PAIRS if pair.kind == kind]
    scores = verifier.score(
        [f"\\boxed{{{pair.answer}}}" for pair in pairs], [pair.prompt for pair in pairs]
    )
    mistaken = [
        (pair.gold, pair.answer, score)
        for pair, score in zip(pairs, scores, strict=True)
        if bool(score.reward) is not pair.equal
    ]
    assert mistaken == []
    assert not {score.status for score in scores} & {Status.TIMEOUT, Status.NO_ANSWER}


@pytest.mark.skipif(not CASES.is_file(), reason="the collected cases are not here")
@pytest.mark.parametrize("name", ["boxed_math", "math"])
def test_collected_cases_hold(name):
    verifier = {"boxed_math": BoxedMath, "math": Math}[name](seconds=30, workers=2)
    lines = CASES.read_text(encoding="utf-8").splitlines()
    cases = [case for case in map(json.loads, lines) if case["verifier"] == name]
    scores = verifier.score(
        [case["response"] for case in cases], [prompt_of(case["gold"]) for case in cases]
    )
    verifier.pool.close()
    assert len(cases) > 60
    assert [
        (case["kind"], case["gold"], case["response"], score)
        for case, score in zip(cases, scores, strict=True)
        if score.reward != case["expected"]
    ] == []
