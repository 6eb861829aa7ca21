from typing import get_args

import pytest
import torch
from torch.testing import assert_close

from p2o.objectives import Aggregation, aggregate

VALUES = torch.tensor([1.0, 2.0, 3.0, 10.0])
SEQUENCES = torch.tensor([0, 0, 0, 1])
TOTALS = {"total_tokens": 4, "total_sequences": 2, "constant_length": 8}


@pytest.mark.parametrize(
    ("mode", "expected"),
    [
        ("token-mean", 16 / 4),
        ("sequence-mean-token-sum", (6 + 10) / 2),
        ("sequence-mean-token-mean", (2 + 10) / 2),
        ("constant-length", (6 + 10) / (2 * 8)),
    ],
)
def test_each_mean_in_numbers(mode: Aggregation, expected: float) -> None:
    loss = aggregate(VALUES, SEQUENCES, mode=mode, **TOTALS)
    assert_close(loss, torch.tensor(expected))


@pytest.mark.parametrize("mode", get_args(Aggregation))
def test_a_response_without_tokens_adds_nothing(mode: Aggregation) -> None:
    both = aggregate(VALUES, SEQUENCES * 2, mode=mode, **TOTALS)
    assert_close(both, aggregate(VALUES, SEQUENCES, mode=mode, **TOTALS))


@pytest.mark.parametrize("mode", get_args(Aggregation))
def test_a_micro_batch_without_tokens_adds_nothing(mode: Aggregation) -> None:
    assert aggregate(VALUES[:0], SEQUENCES[:0], mode=mode, **TOTALS).item() == 0


def test_an_unknown_mean_is_an_error() -> None:
    with pytest.raises(ValueError, match="median"):
        aggregate(
            VALUES,
            SEQUENCES,
            mode="median",  # pyright: ignore[reportArgumentType]
            **TOTALS,
        )


def test_a_constant_length_must_be_given() -> None:
    with pytest.raises(ValueError, match="constant_length"):
        aggregate(VALUES, SEQUENCES, mode="constant-length", total_tokens=4, total_sequences=2)
