"""What a model card says of how held-out problems were asked."""

import pytest

from p2o.export.card import _introduction, _moved

SUMMARY = {"accuracy": {"before": 0.2, "after": 0.8}, "hard_accuracy": {"after": None}}


@pytest.mark.parametrize(
    ("config", "moved", "measured"),
    [
        ({}, "Without them, accuracy on held-out problems was 20.0% and rose to 80.0%.", "without"),
        (
            {"held_out_hint": "best"},
            "Accuracy on held-out problems was 20.0% without one, before training, and is 80.0% "
            "with the best template in use.",
            "with the best",
        ),
    ],
)
def test_a_number_is_told_with_how_it_was_measured(config, moved, measured):
    assert _moved(SUMMARY, config) == moved
    assert f"are measured {measured}" in _introduction({"evolution": {}, **config})
