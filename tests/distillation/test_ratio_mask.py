import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.testing import assert_close

from p2o.distillation.ratio_mask import context_ratio, hard_mask, soft_weight


def test_ratio_is_bare_over_templated() -> None:
    ratio = context_ratio(torch.tensor([0.5, 0.2]).log(), torch.tensor([0.25, 0.4]).log())
    assert_close(ratio, torch.tensor([2.0, 0.5]))


def test_hard_mask_keeps_its_bounds() -> None:
    ratio = torch.tensor([0.009, 0.01, 1.0, 10.0, 10.1])
    assert hard_mask(ratio, 0.01, 10.0).tolist() == [0, 1, 1, 1, 0]


def test_soft_weight_is_bound_over_ratio() -> None:
    ratio = torch.tensor([0.001, 0.01, 1.0, 10.0, 20.0])
    assert_close(soft_weight(ratio, 0.01, 10.0), torch.tensor([10.0, 1.0, 1.0, 1.0, 0.5]))


@pytest.mark.parametrize("difference", [1e4, -1e4, torch.inf, -torch.inf])
def test_huge_differences_stay_finite(difference: float) -> None:
    ratio = context_ratio(torch.tensor([difference]), torch.tensor([0.0]))
    assert hard_mask(ratio).item() == 0
    assert soft_weight(ratio).isfinite().all()


@given(st.lists(st.floats(-15, 15), min_size=1, max_size=8))
def test_soft_is_one_exactly_where_hard_is(differences: list[float]) -> None:
    ratio = context_ratio(torch.tensor(differences), torch.zeros(len(differences)))
    assert torch.equal(soft_weight(ratio) == 1, hard_mask(ratio) == 1)
