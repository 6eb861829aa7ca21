"""The batch at hand: where it stands in its epoch, and what a checkpoint holds of it."""

import pytest

from p2o.errors import UserError
from p2o.learning.at_hand import BatchAtHand


def test_each_batch_stands_behind_the_one_before():
    first = BatchAtHand().of_epoch(2).followed_by([None, None], 8, {"a": 1.0})
    second = first.followed_by([None], 12, {"b": 2.0})
    assert (first.epoch, first.start, first.end, first.cursor) == (2, 0, 2, 8)
    assert (second.epoch, second.start, second.end, second.cursor) == (2, 2, 3, 12)
    assert second.metrics == {"b": 2.0}


@pytest.mark.parametrize(("step", "places"), [(0, [4, 5, 6]), (4, [4, 5, 6]), (6, [6]), (7, [])])
def test_it_is_handed_out_from_a_place_in_the_epoch_on(step, places):
    batch = BatchAtHand(0, 4, 9, [None] * 3)
    assert [place for place, _ in batch.from_step(step)] == places


@pytest.mark.parametrize(
    ("step", "start", "left", "metrics"),
    [(0, 4, 3, {"a": 1.0}), (4, 4, 3, {"a": 1.0}), (5, 5, 2, {}), (7, 7, 0, {})],
)
def test_a_checkpoint_holds_what_is_left_and_metrics_before_the_first_update(
    step, start, left, metrics
):
    batch = BatchAtHand(1, 4, 9, [None] * 3, {"a": 1.0})
    again = BatchAtHand.from_state(batch.state_dict(step))
    assert again == BatchAtHand(1, start, 9, [None] * left, metrics, 1)


def test_another_epoch_begins_anew_and_the_same_one_goes_on():
    batch = BatchAtHand(1, 4, 9, [None] * 3, {"a": 1.0})
    assert batch.of_epoch(1) is batch
    assert batch.of_epoch(2) == BatchAtHand(2)


def test_an_epoch_of_other_ranks_is_refused():
    with pytest.raises(UserError, match="by 3 ranks, and there are 1; resume with as many"):
        BatchAtHand(1, ranks=3).of_epoch(1)
    assert BatchAtHand(1, ranks=3).of_epoch(2) == BatchAtHand(2)
