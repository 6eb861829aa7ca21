import pytest

from p2o.prompt import hint_id
from p2o.records import lives, read
from p2o.records.lives import follow
from p2o.records.writing import append
from p2o.report import sections
from p2o.report.contents import Contents
from p2o.report.problems import river, stories, two_by_two
from p2o.report.rollouts import in_order, spent_tokens
from p2o.report.runs import read_run
from p2o.report.story import tell
from p2o.report.words import tell_run
from tests.report.world import COLUMNS, write_run


@pytest.fixture
def records(tmp_path):
    return read(write_run(tmp_path / "run"))


@pytest.fixture
def rollouts(records):
    return in_order(records.rollouts().to_pydict())


def test_rollouts_are_in_the_order_in_which_they_were_sampled(rollouts):
    places = list(zip(rollouts["epoch"], rollouts["phase"], strict=True))
    assert places[:8] == [(0, "training")] * 8
    # The search for an epoch comes before its rollouts.
    assert places[8:11] == [(1, "evolution"), (1, "evolution"), (1, "training")]


def test_tokens_are_those_of_the_rollouts_spent_by_then(rollouts):
    assert spent_tokens(rollouts, [0, 8, 26]) == [0, 40, 130]
    assert spent_tokens(rollouts, [0, 27]) is None


def test_the_river_counts_every_problem_in_every_epoch(records):
    rows = river(follow(records)[1])
    assert [row["epoch"] for row in rows] == [0, 1, 2]
    assert [sum(row.values()) - row["epoch"] for row in rows] == [4, 4, 4]
    assert rows[0]["unsolved"] == 3
    assert rows[1] == {"epoch": 1, "bare": 1, "hinted": 1, "relapsed": 0, "unsolved": 2}
    assert rows[2] == {"epoch": 2, "bare": 2, "hinted": 1, "relapsed": 0, "unsolved": 1}


def test_a_story_has_the_rollouts_in_which_things_changed(records, rollouts):
    told = stories(rollouts, lives(records).to_pylist())["b"]
    rows = [told.failure, told.hinted, told.internalised]
    assert [rollouts["epoch"][row] for row in rows if row is not None] == [0, 1, 2]
    assert [rollouts["hinted"][row] for row in rows if row is not None] == [False, True, False]
    never = stories(rollouts, lives(records).to_pylist())["d"]
    assert (never.hinted, never.internalised) == (None, None)
    assert never.failure is not None


def test_weights_and_hints_are_measured_on_problems_that_were_given_one(rollouts):
    table = two_by_two(rollouts)
    assert table is not None
    shares = {cell: (found.share, found.number) for cell, found in table.cells.items()}
    assert shares == {
        ("before", "without"): (0.0, 3),
        ("before", "with"): (pytest.approx(0.5 / 3), 3),
        # `b` alone was rolled out bare again; `c` and `d` had hints again.
        ("after", "without"): (1.0, 1),
        ("after", "with"): (pytest.approx(0.5 / 2), 2),
    }


def beside(problem, epoch, hinted):
    """One more rollout of a group of `write_run`."""
    hint = hint_id(COLUMNS[1]) if hinted else ""
    row = {"phase": "training", "epoch": epoch, "step": epoch, "index": 2, "tokens": 5}
    return {**row, "problem": problem, "hint": hint, "hinted": hinted, "solved": False}


BARE_BESIDE = [beside(problem, epoch, False) for problem in "cd" for epoch in (1, 2)]
OTHER_EPOCHS = "These are of other epochs: a problem that is solved without a hint is not asked"
NOT_ALL_THE_SAME = "These are not all of the same epochs: a problem that is no longer hard is asked"


@pytest.mark.parametrize(
    ("more", "at_once", "mixed", "said"),
    [
        ([], False, False, OTHER_EPOCHS),
        # `b` has left the hard set before the last epoch.
        (BARE_BESIDE, False, True, NOT_ALL_THE_SAME),
        ([*BARE_BESIDE, beside("b", 2, True)], True, True, ""),
    ],
    ids=["pure groups", "some mixed", "all at once"],
)
def test_what_is_told_of_the_epochs_follows_from_the_groups(tmp_path, more, at_once, mixed, said):
    folder = write_run(tmp_path / "run")
    append(folder, "rollouts", more)
    story = tell(read_run(folder))
    assert story.two_by_two is not None
    assert (story.two_by_two.at_once, story.two_by_two.mixed) == (at_once, mixed)
    sentences = tell_run(story)["Do they still need it?"]
    assert any(each.startswith("On 3 training problems that were given") for each in sentences)
    told = [each for each in sentences if each.startswith("These are ")]
    assert [each[: len(said)] for each in told] == [said] * bool(said)


def evaluated(epoch, step, hinted, *solved):
    """An evaluation of one problem as `held_out_hint=best` writes it: with a hint or without."""
    row = {"phase": "held_out", "epoch": epoch, "step": step, "problem": "z", "hinted": hinted}
    return [{**row, "index": place, "solved": each} for place, each in enumerate(solved)]


# No search has found a hint before training and in the first epoch.
EVALUATIONS = [
    *evaluated(-1, 0, False, False, False),
    *evaluated(0, 4, False, True, True),
    *evaluated(1, 8, True, False, True),
]


def test_held_out_problems_with_hints_come_first(rollouts):
    last = evaluated(2, 12, True, True, True)
    for row in [*EVALUATIONS, *last]:
        for name, values in rollouts.items():
            values.append(row.get(name))
    table = two_by_two(rollouts)
    assert table is not None
    # The weights of the evaluations between the first and the last are neither before nor after.
    shares = {cell: found.share for cell, found in table.cells.items()}
    assert shares == {
        ("before", "without"): 0.0,
        ("before", "with"): None,
        ("after", "without"): None,
        ("after", "with"): 1.0,
    }
    assert table.problems == "1 held-out problems"
    assert not table.selected


def test_held_out_problems_that_were_last_asked_without_a_hint_compare_no_hints(rollouts):
    for row in [*EVALUATIONS, *evaluated(2, 12, False, True, True)]:
        for name, values in rollouts.items():
            values.append(row.get(name))
    table = two_by_two(rollouts)
    assert table is not None
    assert table.problems == "3 training problems that were given a hint"
    assert table.selected


def test_only_training_problems_are_said_to_be_selected(tmp_path):
    told = {}
    for name, rows in (("training", []), ("held out", EVALUATIONS)):
        append(write_run(tmp_path / name), "rollouts", rows)
        run = read_run(tmp_path / name)
        told[name] = sections.two_by_two(Contents([tell(run)], {"default": [run]}, "default"))
    assert "low by selection" in told["training"]
    assert "low by selection" not in told["held out"]
    assert "Measured on 1 held-out problems." in told["held out"]


def test_without_hints_there_is_no_table_of_weights_and_hints(rollouts):
    rollouts["hinted"] = [False] * len(rollouts["hinted"])
    assert two_by_two(rollouts) is None


def test_tokens_belong_to_the_rollouts_that_they_are_of(tmp_path):
    story = tell(read_run(write_run(tmp_path / "run")))
    assert story.rollouts is not None
    [first, second] = story.tokens
    for row, problem, epoch in ((first, "b", 1), (second, "c", 2)):
        assert (story.rollouts["problem"][row], story.rollouts["epoch"][row]) == (problem, epoch)
        assert story.rollouts["solved"][row]
        texts, ratios = story.tokens[row]
        assert texts[0] == "b "
        assert ratios == [-3.0, -0.5, 1.0]
    assert story.stories["b"].scored == (first,)
    assert story.stories["d"].scored == ()
