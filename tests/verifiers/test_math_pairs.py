"""Verdicts on pairs that were judged by hand, and what math-verify alone says about them."""

import pytest
from math_data import read_pairs

from p2o.verifiers import Math, Status
from p2o.verifiers.math_verify_alone import MathVerifyAlone

PAIRS = read_pairs()
KINDS = list(dict.fromkeys(pair.kind for pair in PAIRS))


@pytest.fixture(scope="module")
def scores():
    verifier = Math(seconds=30, workers=2)
    found = verifier.score(
        [f"\\boxed{{{pair.answer}}}" for pair in PAIRS], [pair.prompt for pair in PAIRS]
    )
    verifier.pool.close()
    return dict(zip(PAIRS, found, strict=True))


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
def test_every_pair_is_judged_as_a_teacher_would(kind, scores):
    pairs = [pair for pair in PAIRS if pair.kind == kind]
    assert min(sum(pair.equal is equal for pair in pairs) for equal in (True, False)) >= 20
    mistaken = {pair for pair in pairs if bool(scores[pair].reward) is not pair.equal}
    assert mistaken == {pair for pair in pairs if pair.exception}
    assert {scores[pair].status for pair in pairs} <= {Status.OK, Status.PARSE_ERROR}


@pytest.mark.slow
def test_math_verify_alone_differs_where_a_star_says_so(scores):
    verifier = MathVerifyAlone(seconds=30, workers=2)
    # It knows of no tolerances.
    pairs = [pair for pair in PAIRS if pair.tolerance is None]
    alone = verifier.score(
        [f"\\boxed{{{pair.answer}}}" for pair in pairs], [pair.prompt for pair in pairs]
    )
    verifier.pool.close()
    differing = {
        pair
        for pair, score in zip(pairs, alone, strict=True)
        if score.reward != scores[pair].reward
    }
    assert differing == {pair for pair in pairs if pair.differs}
