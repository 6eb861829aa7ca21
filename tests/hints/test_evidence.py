"""What training has shown of hints, by problem, hint and age."""

import json

import pytest

from p2o.hints.evidence import Evidence
from p2o.prompt import Prompt
from p2o_callbacks import TemplateTrial

PROMPTS = [Prompt.create([{"role": "user", "content": f"{n}?"}], str(n)) for n in range(3)]
A, B, C = (prompt.id for prompt in PROMPTS)
KNOWN = {prompt.id: prompt for prompt in PROMPTS}


def tried(hint, *solved, score=float):
    """Rollouts with a hint; None is one without a verdict."""
    return [
        (hint, TemplateTrial(score(s or 0), s, "?", f"response {n}", "feedback"))
        for n, s in enumerate(solved)
    ]


@pytest.fixture
def evidence():
    evidence = Evidence(KNOWN)
    evidence.lasts = 2
    return evidence


def test_rollouts_that_agree_need_no_trial(evidence):
    evidence.note(0, {A: tried("", False, False, None) + tried("go", True) + tried("x", True, 0)})
    assert (evidence.trial(A, "").solved, evidence.trial(A, "").score) == (False, 0.0)
    assert evidence.trial(A, "go").solved is True
    assert evidence.trial(A, "go").repeatable
    assert evidence.trial(A, "x") is None
    assert evidence.trial(A, "never") is None
    assert evidence.trial(B, "go") is None


def test_the_score_is_the_mean_and_a_failure_is_what_is_shown(evidence):
    trials = [("", TemplateTrial(s, False, "?", f"{s}", "")) for s in (0.25, 0.75)]
    evidence.note(0, {A: trials})
    assert (evidence.trial(A, "").score, evidence.trial(A, "").response) == (0.5, "0.25")
    evidence.note(0, {B: tried("go", True, False)})
    assert evidence.state_dict()["shown"][1]["response"] == "response 1"


def test_a_rollout_without_a_verdict_is_no_evidence(evidence):
    evidence.note(0, {A: tried("go", None, None)})
    assert evidence.trial(A, "go") is None
    assert not evidence.solved_by(A)
    assert not evidence.failed_with(A)


def test_hints_solve_with_one_success_and_fail_with_none_and_the_bare_prompt_is_no_hint(evidence):
    evidence.note(
        0, {A: tried("", True) + tried("go", False, True) + tried("no", False), B: tried("", 0)}
    )
    assert (evidence.solved_by(A), evidence.failed_with(A)) == ({"go"}, {"no"})
    assert (evidence.solved_by(B), evidence.failed_with(B)) == (set(), set())
    assert evidence.scores("go", [A, B, C]) == {A: 0.5}


def test_the_newest_group_counts(evidence):
    evidence.note(0, {A: tried("go", True, True)})
    evidence.note(1, {A: tried("go", False)})
    assert evidence.trial(A, "go").solved is False
    assert not evidence.solved_by(A)


@pytest.mark.parametrize("lasts", [1, 2, 3])
def test_what_is_old_is_forgotten(lasts):
    evidence = Evidence(KNOWN)
    evidence.lasts = lasts
    evidence.note(0, {A: tried("go", True)})
    for epoch in range(1, 5):
        evidence.note(epoch, {B: tried("", False)})
        assert (evidence.trial(A, "go") is not None) == (epoch < lasts)
    assert len(evidence.state_dict()["shown"]) == 1


def test_nothing_is_kept_where_nobody_asks():
    evidence = Evidence(KNOWN)
    evidence.note(0, {A: tried("go", True)})
    assert evidence.state_dict()["shown"] == []


def test_it_survives_a_checkpoint(evidence):
    evidence.note(3, {A: tried("go", True, False), B: tried("", False), C: tried("", False)})
    state = json.loads(json.dumps(evidence.state_dict()))
    other = Evidence({key: prompt for key, prompt in KNOWN.items() if key != C})
    other.lasts = 2
    other.load_state_dict(state)
    assert other.state_dict()["shown"] == evidence.state_dict()["shown"][:2]
    # Question and answers are the problem's own.
    bare = other.trial(B, "")
    assert bare is not None
    assert (bare.question, bare.answers) == ("1?", ("1",))
    other.note(5, {A: tried("new", True)})
    assert other.trial(B, "") is None
    assert other.solved_by(A) == {"new"}
