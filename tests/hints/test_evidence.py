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


def few(evidence, most):
    """The same, that keeps so many texts."""
    evidence.MOST_TEXTS = most
    return evidence


def test_of_many_pairs_the_newest_keep_a_rollout_and_all_keep_what_it_showed(evidence):
    whole = Evidence(KNOWN)
    whole.lasts = 2
    for each in (few(evidence, 3), whole):
        each.note(0, {A: tried("", False) + tried("go", True), B: tried("", False, True)})
        # Shown anew, a pair is the newest.
        each.note(0, {A: tried("", False, False), C: tried("no", False) + tried("go", True)})
    kept = {(A, ""), (C, "no"), (C, "go")}
    pairs = [(problem, hint) for problem in (A, B, C) for hint in ("", "go", "no")]
    for pair in pairs:
        assert evidence.trial(*pair) == (whole.trial(*pair) if pair in kept else None)
        told = evidence.trial(*pair)
        assert evidence.verdict(*pair) == (None if told is None else told.solved)
    assert whole.trial(A, "go") is not None
    assert (evidence.example(A), evidence.example(B)) == (whole.example(A), None)
    assert evidence.example(C) == whole.example(C)
    # Where a rollout is not kept, its question and its answers are the problem's own.
    assert (evidence.asked(A), evidence.asked(B)) == (("?", ()), ("1?", ("1",)))
    assert evidence.asked("another") is None
    assert evidence.tallies() == whole.tallies()
    for problem in (A, B, C):
        assert evidence.solved_by(problem) == whole.solved_by(problem)
        assert evidence.failed_with(problem) == whole.failed_with(problem)
        assert evidence.scores("", [problem]) == whole.scores("", [problem])
    texts = [row.get("response") for row in evidence.state_dict()["shown"]]
    assert len([text for text in texts if text is not None]) == 3


def test_the_number_of_rollouts_kept_is_bounded(evidence):
    assert Evidence.MOST_TEXTS == 20_000
    few(evidence, 5)
    for number in range(40):
        evidence.note(number // 20, {A: tried(f"hint {number}", False)})
        assert len(evidence._told) == min(number + 1, 5)
    assert len(evidence.failed_with(A)) == 40
    # What is forgotten makes room.
    evidence.note(3, {B: tried("", False)})
    assert (len(evidence._told), len(evidence.state_dict()["shown"])) == (1, 1)


@pytest.mark.parametrize("most", [2, 3, 100])
def test_a_run_that_goes_on_keeps_the_same_rollouts(evidence, most):
    batches = [
        {A: tried("go", False) + tried("", False), B: tried("", True)},
        {A: tried("go", True), C: tried("", False)},
        {B: tried("x", False, False), A: tried("", False)},
        {C: tried("go", False)},
    ]
    few(evidence, most)
    for batch in batches[:2]:
        evidence.note(0, batch)
    other = few(Evidence(KNOWN), most)
    other.lasts = 2
    other.load_state_dict(json.loads(json.dumps(evidence.state_dict())))
    for number, batch in enumerate(batches[2:]):
        evidence.note(number, batch)
        other.note(number, batch)
        assert other.state_dict() == evidence.state_dict()
        assert list(other._told) == list(evidence._told)
