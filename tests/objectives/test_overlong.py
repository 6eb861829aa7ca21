import pytest
import torch

from p2o.errors import UserError
from p2o.objectives import Overlong


def test_the_punishment_is_the_papers_piecewise_line():
    """DAPO, arXiv 2503.14476, equation 13, with its own numbers."""
    lengths = torch.tensor([[0, 16_384, 18_432, 20_480, 30_000]])
    overlong = Overlong(max_tokens=20_480, punished_share=0.2)
    assert overlong.punishment(lengths).tolist() == [[0.0, 0.0, -0.5, -1.0, -1.0]]


def test_no_share_is_no_punishment():
    assert Overlong(10).punishment(torch.tensor([3, 10])).tolist() == [0.0, 0.0]


def test_a_share_that_is_none_is_named():
    with pytest.raises(UserError, match=r"^punished_share=1\.5"):
        Overlong(10, punished_share=1.5)
