"""Tests that were asked for by name, ``-m gpu``, fail where there is no GPU."""

import pytest
import torch


@pytest.fixture(autouse=True)
def gpu():
    assert torch.cuda.is_available(), "tests marked gpu need a GPU"
