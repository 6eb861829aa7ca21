import json
from pathlib import Path
from typing import Any

import pytest

from p2o.errors import UserError
from p2o.evolution.budget import PRESETS, metric_call_budget, resolve_budget

REFERENCE = json.loads((Path(__file__).parents[1] / "assets/reference.json").read_text())


@pytest.mark.parametrize(
    "case", REFERENCE["gepa_budget"], ids=lambda case: f"{case['auto']}-{case['dev_size']}"
)
def test_agrees_with_the_reference(case: dict[str, Any]) -> None:
    assert PRESETS[case["auto"]] == case["num_candidates"]
    assert metric_call_budget(case["auto"], case["dev_size"]) == case["metric_calls"]


def test_a_number_or_a_preset() -> None:
    assert resolve_budget(600, 300) == 600
    assert resolve_budget("heavy_4", 300) == 11040


def test_an_unknown_preset_is_named_with_those_there_are() -> None:
    with pytest.raises(UserError, match=r"^budget=huge: .*light.*heavy_16"):
        resolve_budget("huge", 300)


def test_no_calls_at_all_are_an_error() -> None:
    with pytest.raises(UserError, match=r"^budget=0"):
        resolve_budget(0, 300)
