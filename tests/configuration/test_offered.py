"""Parts are given what is known at run time only where they ask for it."""

import pytest
from omegaconf import OmegaConf

from p2o.configuration.build import build, takes
from p2o.errors import UserError

OFFERED = {"reflection": "writes", "assigner": "deals"}


class AsksForNothing:
    def __init__(self, number: int = 1):
        self.given = {"number": number}


class AsksForOne:
    def __init__(self, reflection: str, number: int = 1):
        self.given = {"reflection": reflection, "number": number}


class PassesOn(AsksForOne):
    def __init__(self, **options):
        super().__init__(**options)


class TakesAnything:
    def __init__(self, **options):
        self.given = options


def node(kind: type, **settings):
    return OmegaConf.create({"_target_": f"{__name__}.{kind.__qualname__}", **settings})


@pytest.mark.parametrize(
    ("kind", "expected"),
    [
        (AsksForNothing, {"number": 3}),
        (AsksForOne, {"reflection": "writes", "number": 3}),
        (PassesOn, {"reflection": "writes", "number": 3}),
        (TakesAnything, {**OFFERED, "number": 3}),
    ],
)
def test_a_part_gets_what_it_names(kind, expected):
    assert build(node(kind, number=3), "evolver", offered=OFFERED).given == expected
    assert [name for name in OFFERED if takes(node(kind), "evolver", name)] == [
        name for name in OFFERED if name in expected
    ]


def test_a_configuration_cannot_choose_what_is_offered():
    with pytest.raises(UserError, match=r"^evolver\.reflection: is not to be chosen here"):
        build(node(AsksForOne, reflection="own"), "evolver", offered=OFFERED)
