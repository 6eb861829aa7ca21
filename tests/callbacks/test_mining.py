import io
from types import SimpleNamespace

import pytest
import torch

from p2o_callbacks import ConfigurationError, GroupOutcome, HardSampleMiner


def group(sample, solved, size=6):
    verdicts = (True,) * solved + (False,) * (size - solved)
    return GroupOutcome(sample, tuple(map(float, verdicts)), verdicts)


class Log:
    """Stands for a LightningModule that is logged to."""

    def __init__(self):
        self.values = {}

    def log_dict(self, values, **options):
        self.values = values


def close_epoch(miner):
    log = Log()
    miner.on_train_epoch_end(None, log)
    return {name.removeprefix("hard/"): value for name, value in log.values.items()}


@pytest.mark.parametrize(
    ("threshold", "hard"),
    [
        (1, ["a"]),
        (2, ["a", "b"]),
        (0.5, ["a", "b", "c"]),
        (1.0, ["a", "b", "c", "d"]),
        (0.01, ["a"]),
    ],
)
def test_a_sample_is_hard_below_the_threshold(threshold, hard):
    miner = HardSampleMiner(threshold)
    miner.observe([group("a", 0), group("b", 1), group("c", 2), group("d", 5), group("e", 6)])
    close_epoch(miner)
    assert miner.hard_set == list(hard)


def test_a_group_below_the_threshold_in_size_is_hard_unless_all_of_it_is_solved():
    miner = HardSampleMiner(2)
    miner.observe(
        [group("one", 1, 1), group("none", 0, 1), group("two", 2, 2), group("half", 1, 2)]
    )
    close_epoch(miner)
    assert miner.hard_set == ["half", "none"]


def test_a_rate_is_compared_as_it_is_written():
    """7 of 25 is not below 0.28, though 0.28 * 25 is above 7 in floating point."""
    for size in range(1, 65):
        for solved in range(1, size + 1):
            miner = HardSampleMiner(solved / size)
            miner.observe([group("at", solved, size), group("below", solved - 1, size)])
            close_epoch(miner)
            assert miner.hard_set == ["below"], (solved, size)


def test_the_verdict_counts_and_not_the_reward():
    miner = HardSampleMiner(2)
    miner.observe(
        [
            GroupOutcome("right at 0.9", (0.9,) * 6, (True,) * 6),
            GroupOutcome("wrong at 1.5", (1.5,) * 6, (False,) * 6),
        ]
    )
    close_epoch(miner)
    assert miner.hard_set == ["wrong at 1.5"]


@pytest.mark.parametrize(
    ("verdicts", "hard"),
    [
        # One right answer and five that could not be checked say nothing of a hard sample.
        ([True] + [None] * 5, False),
        ([False] + [None] * 5, False),
        ([False] * 4 + [None] * 2, False),
        ([False] * 5 + [None], True),
        ([True] + [False] * 4 + [None], False),
        ([True] + [False] * 5, True),
    ],
)
def test_a_sample_is_hard_only_if_the_missing_verdicts_cannot_change_that(verdicts, hard):
    miner = HardSampleMiner(2)
    rewards = tuple(float(bool(solved)) for solved in verdicts)
    miner.observe([GroupOutcome("a", rewards, tuple(verdicts))])
    close_epoch(miner)
    assert miner.hard_set == ["a"] * hard


def test_a_group_without_any_verdict_leaves_a_sample_where_it_was():
    miner = HardSampleMiner()
    miner.observe([group("a", 0), group("b", 6)])
    close_epoch(miner)
    nothing = (0.0,) * 6, (None,) * 6
    miner.observe([GroupOutcome("a", *nothing), GroupOutcome("b", *nothing)])
    assert close_epoch(miner)["dead_groups"] == 1
    assert miner.hard_set == ["a"]


@pytest.mark.parametrize("threshold", [2, 0.5])
def test_a_group_without_any_rollout_says_nothing(project, threshold):
    class Data(project.Data):
        def roll_out(self):
            super().roll_out()
            for observe in self.observers:
                observe([GroupOutcome(name, (), ()) for name in project.samples])

    miner = HardSampleMiner(threshold)
    project.fit([miner], data=Data())
    assert miner.hard_set == project.hard


def test_groups_are_dead_when_all_rewards_are_equal_solved_or_not():
    miner = HardSampleMiner()
    miner.observe([group("a", 0), group("b", 6), group("c", 1)])
    miner.observe([GroupOutcome("d", (0.5,) * 6, (False,) * 6)])
    assert close_epoch(miner)["dead_groups"] == 3 / 4
    assert close_epoch(miner)["dead_groups"] == 0


def test_the_hard_set_is_sorted_whatever_the_order_of_groups():
    orders = [["b", "c", "a"], ["c", "a", "b"]]
    hard = []
    for order in orders:
        miner = HardSampleMiner()
        miner.observe([group(name, 0) for name in order])
        close_epoch(miner)
        hard.append(miner.hard_set)
    assert hard == [["a", "b", "c"]] * 2


def test_flow_over_epochs():
    miner = HardSampleMiner()
    epochs = [
        # solved rollouts of a, b, c; size, entered, solved, relapsed, dead groups
        ((0, 0, 6), (2, 2, 0, 0, 1.0)),
        ((6, 0, 5), (1, 0, 1, 0, 2 / 3)),
        ((1, 3, 0), (2, 1, 1, 1, 1 / 3)),
        ((2, 2, 2), (0, 0, 2, 0, 0.0)),
    ]
    for counts, (size, entered, solved, relapsed, dead) in epochs:
        miner.observe([group(name, count) for name, count in zip("abc", counts, strict=True)])
        assert close_epoch(miner) == {
            "size": size,
            "entered": entered,
            "solved": solved,
            "relapsed": relapsed,
            "dead_groups": pytest.approx(dead),
        }


def test_the_hard_set_changes_at_the_end_of_an_epoch_only():
    miner = HardSampleMiner()
    miner.observe([group("a", 0)])
    assert miner.hard_set == []
    close_epoch(miner)
    miner.observe([group("a", 6)])
    assert miner.hard_set == ["a"]


def test_a_sample_that_an_epoch_did_not_reach_keeps_its_standing():
    miner = HardSampleMiner()
    miner.observe([group("a", 0), group("b", 0)])
    close_epoch(miner)
    miner.observe([group("b", 6)])
    flow = close_epoch(miner)
    assert miner.hard_set == ["a"]
    assert (flow["solved"], flow["entered"], flow["relapsed"]) == (1, 0, 0)


def test_state_in_the_middle_of_an_epoch_survives_a_weights_only_checkpoint():
    miner, resumed = HardSampleMiner(), HardSampleMiner()
    miner.observe([group("a", 0), group("b", 0)])
    close_epoch(miner)
    miner.observe([group("a", 6)])
    file = io.BytesIO()
    torch.save(miner.state_dict(), file)
    file.seek(0)
    resumed.load_state_dict(torch.load(file, weights_only=True))
    for each in (miner, resumed):
        each.observe([group("b", 1)])
    assert close_epoch(miner) == close_epoch(resumed)
    assert miner.hard_set == resumed.hard_set == ["b"]


@pytest.mark.parametrize("threshold", [0, -1, 0.0, 1.5])
def test_thresholds_that_mean_nothing_are_refused(threshold):
    with pytest.raises(ConfigurationError, match="threshold"):
        HardSampleMiner(threshold)


def test_a_threshold_above_the_group_size_is_refused_before_training():
    source = SimpleNamespace(group_size=6, add_group_observer=lambda observer: None)
    trainer = SimpleNamespace(datamodule=source, train_dataloader=None, lightning_module=None)
    HardSampleMiner(6).setup(trainer, None, "fit")  # type: ignore[arg-type]
    with pytest.raises(ConfigurationError, match="above the group size of 6"):
        HardSampleMiner(7).setup(trainer, None, "fit")  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("outcome", "error", "said"),
    [
        (({"id": 1}, (1.0,), (True,)), TypeError, "sample_id is a dict; give a text"),
        (("a", (1.0, 0.0), (True,)), ValueError, "of a: 2 rewards and 1 verdicts; give one of"),
    ],
)
def test_an_outcome_that_cannot_be_is_refused_where_it_is_made(outcome, error, said):
    with pytest.raises(error, match=said):
        GroupOutcome(*outcome)


def test_an_epoch_of_which_nobody_tells_is_warned_of():
    miner = HardSampleMiner()
    with pytest.warns(UserWarning, match="HardSampleMiner: nobody has told of a group"):
        close_epoch(miner)
