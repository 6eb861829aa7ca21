"""Lives of problems and numbers by epoch, from plain rows."""

import pytest

from p2o.prompt import hint_id
from p2o.records import epochs, lives, read, states
from p2o.records.writing import append

ADD, CARRY = "add the digits", "carry the one"


def tried(epoch, problem, *solved, hint="", phase="training", step=0):
    """Rollouts of one group."""
    return [
        {
            "phase": phase,
            "epoch": epoch,
            "step": step,
            "problem": problem,
            "hint": hint_id(hint),
            "hinted": bool(hint),
            "solved": each,
        }
        for each in solved
    ]


def life_of(tmp_path, *groups, hard=()):
    append(tmp_path, "rollouts", [row for group in groups for row in group])
    append(tmp_path, "hard", [{"epoch": epoch, "problem": "a"} for epoch in hard])
    [life] = lives(read(tmp_path)).to_pylist()
    return life


def test_a_problem_that_a_hint_unlocks_and_training_takes_in(tmp_path):
    life = life_of(
        tmp_path,
        tried(0, "a", False, False),
        tried(1, "a", False, hint=CARRY, phase="evolution"),
        tried(1, "a", True, hint=ADD, phase="evolution"),
        tried(1, "a", True, False, hint=CARRY),
        tried(2, "a", True, False),
        hard=[0],
    )
    assert life == {
        "problem": "a",
        "hard": 0,
        "unlocked": 1,
        "hint": hint_id(ADD),
        "internalised": 2,
        "relapsed": None,
        "state": "bare",
    }


def test_a_search_comes_before_the_training_of_its_epoch_wherever_it_stands(tmp_path):
    life = life_of(
        tmp_path,
        tried(1, "a", True, hint=CARRY),
        tried(1, "a", True, hint=ADD, phase="evolution"),
    )
    assert life["hint"] == hint_id(ADD)


def test_a_problem_that_is_lost_again_has_relapsed(tmp_path):
    life = life_of(
        tmp_path,
        tried(1, "a", True, hint=ADD),
        tried(2, "a", True),
        tried(3, "a", False, None),
        tried(4, "a", True, hint=ADD),
    )
    assert (life["internalised"], life["relapsed"], life["state"]) == (2, 3, "relapsed")


def test_only_a_failure_without_a_hint_is_a_relapse(tmp_path):
    life = life_of(
        tmp_path,
        tried(1, "a", True, hint=ADD),
        tried(2, "a", True, False),
        # Hard again, so that it is asked with a hint alone.
        tried(3, "a", True, True, hint=ADD),
        tried(4, "a", False, False, hint=ADD),
        hard=[2, 3, 4],
    )
    assert (life["internalised"], life["relapsed"], life["state"]) == (2, None, "bare")


def test_a_bare_success_before_the_hint_is_none_that_the_hint_brought(tmp_path):
    life = life_of(tmp_path, tried(0, "a", True, False), tried(1, "a", True, hint=ADD), hard=[0])
    assert (life["unlocked"], life["hint"], life["internalised"]) == (None, None, None)


def test_nor_is_one_that_the_search_has_had_before(tmp_path):
    bare = tried(1, "a", True, phase="evolution")
    assert life_of(tmp_path, bare, tried(1, "a", True, hint=ADD))["unlocked"] is None


def test_a_bare_trial_of_a_search_does_not_internalise(tmp_path):
    life = life_of(tmp_path, tried(1, "a", True, hint=ADD), tried(2, "a", True, phase="evolution"))
    assert (life["internalised"], life["state"]) == (None, "hinted")


def test_what_a_group_solves_with_its_hint_and_without_is_not_unlocked(tmp_path):
    life = life_of(
        tmp_path,
        tried(0, "a", False, False),
        tried(1, "a", True, hint=ADD, step=4),
        tried(1, "a", True, step=4),
        tried(2, "a", True, step=8),
    )
    assert (life["unlocked"], life["hint"], life["internalised"]) == (None, None, None)
    assert life["state"] == "bare"


def test_nor_is_what_its_search_has_solved_with_the_same_weights(tmp_path):
    found = tried(1, "a", True, hint=ADD, phase="evolution", step=4)
    life = life_of(tmp_path, found, tried(1, "a", True, step=4))
    assert (life["unlocked"], life["internalised"]) == (None, None)


def test_a_bare_rollout_of_a_hinted_group_internalises_in_a_later_epoch(tmp_path):
    life = life_of(
        tmp_path,
        tried(1, "a", True, True, hint=ADD, step=4),
        tried(1, "a", False, step=4),
        tried(2, "a", True, False, hint=CARRY, step=8),
        tried(2, "a", True, step=8),
    )
    assert (life["unlocked"], life["hint"], life["internalised"]) == (1, hint_id(ADD), 2)


def test_a_later_step_of_the_epoch_internalises_too(tmp_path):
    found = tried(1, "a", True, hint=ADD, phase="evolution", step=4)
    life = life_of(tmp_path, found, tried(1, "a", True, step=5))
    assert (life["unlocked"], life["internalised"]) == (1, 1)


def test_a_group_that_is_right_both_ways_counts_for_no_hint(tmp_path):
    both = [*tried(1, "a", True, hint=ADD, step=4), *tried(1, "a", True, step=4)]
    append(tmp_path, "rollouts", both)
    [row] = epochs(read(tmp_path)).to_pylist()
    assert (row["unlocked"], row["internalised"], row["internalisation_lag"]) == (0, 0, None)


def test_held_out_problems_have_no_lives(tmp_path):
    append(tmp_path, "rollouts", tried(-1, "h", True, phase="held_out"))
    assert lives(read(tmp_path)).num_rows == 0


def test_a_problem_that_an_epoch_does_not_reach_keeps_its_state(tmp_path):
    append(tmp_path, "rollouts", tried(0, "a", True) + tried(0, "b", False) + tried(1, "b", True))
    table = states(read(tmp_path)).to_pylist()
    assert [(row["epoch"], row["problem"], row["state"]) for row in table] == [
        (0, "a", "bare"),
        (0, "b", "unsolved"),
        (1, "a", "bare"),
        (1, "b", "bare"),
    ]


@pytest.fixture
def records(tmp_path):
    """Three problems: one is taken in and lost, one needs its hint, one is never solved."""
    rows = [
        *tried(-1, "h", False, False, phase="held_out"),
        *(row for problem in "abc" for row in tried(0, problem, False, False)),
        *tried(0, "h", True, False, phase="held_out", step=4),
        *tried(1, "a", False, phase="evolution"),
        *tried(1, "a", True, hint=ADD, phase="evolution"),
        *tried(1, "a", True, True, hint=ADD),
        *tried(1, "b", True, False, hint=CARRY),
        *tried(1, "c", False, False, hint=CARRY),
        *tried(2, "a", True, True),
        *tried(2, "b", False, False, hint=CARRY),
        *tried(2, "c", False, False),
        *tried(2, "h", False, False, phase="held_out", step=6),
        *tried(2, "h", True, True, phase="held_out", step=8),
        *tried(3, "a", False, False),
    ]
    append(tmp_path, "rollouts", rows)
    hard = {0: "abc", 1: "bc", 2: "bc", 3: "a"}
    append(tmp_path, "hard", [{"epoch": e, "problem": p} for e, ps in hard.items() for p in ps])
    texts = [ADD, CARRY]
    append(tmp_path, "hints", [{"hint": hint_id(text), "text": text} for text in texts])
    pools = {1: (ADD, CARRY), 2: (CARRY,)}
    pool = [{"epoch": e, "problem": "b", "hint": hint_id(t)} for e, ts in pools.items() for t in ts]
    append(tmp_path, "pool", pool)
    return read(tmp_path)


def column(records, name):
    table = epochs(records)
    values = zip(table["epoch"].to_pylist(), table[name].to_pylist(), strict=True)
    return {epoch: None if value is None else round(value, 3) for epoch, value in values}


@pytest.mark.parametrize(
    ("name", "values"),
    {
        "held_out_accuracy": {-1: 0.0, 0: 0.5, 1: None, 2: 1.0, 3: None},
        "hard": {-1: None, 0: 3, 1: 2, 2: 2, 3: 1},
        # Four of the trials and rollouts with a hint in epoch 1 are right, of seven.
        "hinted_accuracy": {-1: None, 0: None, 1: 0.571, 2: 0.0, 3: None},
        "bare_accuracy": {-1: None, 0: None, 1: 0.0, 2: 0.0, 3: None},
        "unsolved": {-1: 0, 0: 3, 1: 1, 2: 1, 3: 1},
        "hinted": {-1: 0, 0: 0, 1: 2, 2: 1, 3: 1},
        "bare": {-1: 0, 0: 0, 1: 0, 2: 1, 3: 0},
        "relapsed": {-1: 0, 0: 0, 1: 0, 2: 0, 3: 1},
        "unlocked": {-1: 0, 0: 0, 1: 2, 2: 2, 3: 2},
        "internalised": {-1: 0, 0: 0, 1: 0, 2: 1, 3: 1},
        "internalisation_rate": {-1: None, 0: None, 1: 0.0, 2: 0.5, 3: 0.5},
        "internalisation_lag": {-1: None, 0: None, 1: None, 2: 1.0, 3: 1.0},
        "forgetting": {-1: None, 0: None, 1: None, 2: 0.0, 3: 1.0},
        "hints": {-1: 0, 0: 0, 1: 2, 2: 1, 3: 0},
        # "the" is one of five words.
        "diversity": {-1: None, 0: None, 1: 0.8, 2: None, 3: None},
        "turnover": {-1: None, 0: None, 1: 1.0, 2: 0.0, 3: None},
    }.items(),
)
def test_numbers_of_an_epoch(records, name, values):
    assert column(records, name) == values
