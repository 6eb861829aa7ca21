from typing import get_args

import pytest
import torch
from torch.testing import assert_close

from p2o.objectives import Aggregation, aggregate

VALUES = torch.tensor([[1.0, 2.0, 3.0], [10.0, torch.nan, torch.inf]])
MASK = torch.tensor([[1, 1, 1], [1, 0, 0]])


@pytest.mark.parametrize(
    ("mode", "expected"),
    [
        ("token-mean", 16 / 4),
        ("sequence-mean-token-sum", (6 + 10) / 2),
        ("sequence-mean-token-mean", (2 + 10) / 2),
    ],
)
def test_each_mean_in_numbers(mode: Aggregation, expected: float) -> None:
    loss = aggregate(VALUES, MASK, mode=mode, total_tokens=4, total_sequences=2)
    assert_close(loss, torch.tensor(expected))


@pytest.mark.parametrize("mode", get_args(Aggregation))
def test_a_response_without_tokens_adds_nothing(mode: Aggregation) -> None:
    mask = torch.tensor([[1, 1, 1], [0, 0, 0]])
    both = aggregate(VALUES, mask, mode=mode, total_tokens=3, total_sequences=1)
    first = aggregate(VALUES[:1], mask[:1], mode=mode, total_tokens=3, total_sequences=1)
    assert_close(both, first)


def test_an_unknown_mean_is_an_error() -> None:
    with pytest.raises(ValueError, match="median"):
        aggregate(
            VALUES,
            MASK,
            mode="median",  # pyright: ignore[reportArgumentType]
            total_tokens=4,
            total_sequences=2,
        )
