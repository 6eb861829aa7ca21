"""A class that knows nothing of p2o refuses its arguments in the form of p2o's own messages."""

from functools import partial

import pytest
import torch
from omegaconf import OmegaConf

from p2o.configuration.build import build, call
from p2o.errors import UserError


class Refuses:
    """Says what it is told to say."""

    def __init__(self, width: int = 1, said: str = "", **options: int) -> None:
        raise ValueError(said)


class Rate(torch.optim.SGD):
    """Refuses a rate in words of its own."""

    def __init__(self, params, lr: float) -> None:
        if lr > 0.5:
            raise ValueError(f"lr={lr}: give at most 0.5\nand more in another line")
        super().__init__(params, lr)


class Loses:
    """Looks something up that is not there."""

    def __init__(self, width: int = 1) -> None:
        raise KeyError("width=0: give at least 1")


def node(kind: type, **settings):
    return OmegaConf.create({"_target_": f"{__name__}.{kind.__qualname__}", **settings})


@pytest.mark.parametrize(
    ("said", "shown"),
    [
        ("width=0: give at least 1", "part.width=0: give at least 1"),
        ("width: give at least 1", "part.width: give at least 1"),
        ("width.left=0: give at least 1", "part.width.left=0: give at least 1"),
        # Given, though no parameter has its name.
        ("depth=3: give an even one", "part.depth=3: give an even one"),
        # No argument's name stands there.
        ("height=0: give at least 1", None),
        ("widths=0: give at least 1", None),
        ("width is too small", None),
        ("no width=0", None),
        ("", None),
    ],
)
def test_a_value_error_that_begins_with_an_argument_is_shown_as_a_user_error(said, shown):
    with pytest.raises(UserError) as caught:
        build(node(Refuses, said=said, depth=3), "part")
    ordinary = f"part: cannot make {__name__}.Refuses ({said or 'ValueError'})"
    assert str(caught.value) == (shown or ordinary)


def test_other_errors_that_begin_so_keep_their_form():
    with pytest.raises(UserError, match=r"^part: cannot make .*Loses \('width=0"):
        build(node(Loses), "part")


def test_what_is_made_later_refuses_in_the_same_form():
    weights = [torch.nn.Parameter(torch.zeros(2))]
    make = build(node(Rate, lr=0.7, _partial_=True), "optimizer")
    with pytest.raises(UserError) as caught:
        call(make, "optimizer", "Rate", [weights])
    assert str(caught.value) == "optimizer.lr=0.7: give at most 0.5"
    with pytest.raises(UserError, match=r"^optimizer: cannot make AdamW \(Invalid learning rate"):
        call(partial(torch.optim.AdamW, lr=-1.0), "optimizer", "AdamW", [weights])
    with pytest.raises(UserError, match=r"^optimizer: cannot make Rate \('int' object is not c"):
        call(3, "optimizer", "Rate", [weights])  # type: ignore[arg-type]
