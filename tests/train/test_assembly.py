"""Each part gets what the configuration says, though several parts want things of one kind."""

from typing import Any

import pytest

from p2o import train as program
from p2o.reference import InitialPolicy


class _Assembled(Exception):
    """Ends a run once its parts are there."""


def test_parts_get_the_settings_that_are_theirs(train_here, monkeypatch):
    parts: dict[str, Any] = {}

    def keep(**given):
        parts.update(given)
        raise _Assembled

    monkeypatch.setattr(program, "RolloutDataModule", keep)
    with pytest.raises(_Assembled):
        train_here(
            *("data.source.train=8", "data.source.held_out=4", "data.batch=4"),
            *("data.mini_batch=4", "drop_failed_templated=true", "data.held_out_samples=2"),
            *("sampling.train.temperature=0.7", "sampling.evolution.temperature=0.1"),
            *("sampling.held_out.temperature=0.3", "reference=initial"),
            *("algorithm.kl.coefficient=0.25", "algorithm.entropy_coefficient=0.5"),
        )
    assert parts["sampling"].temperature == 0.7
    assert parts["evolution_sampling"].temperature == 0.1
    assert parts["held_out_sampling"].temperature == 0.3
    module, builder = parts["module"], parts["builder"]
    assert module.policy.temperature == 0.7
    assert module.entropy_coefficient == 0.5
    assert builder.entropy_bonus
    assert module.kl.coefficient == builder.kl.coefficient == 0.25
    assert builder.credit.drop_failed_templated
    reference = builder._score_reference.keywords["policy"]
    assert isinstance(reference, InitialPolicy)
    assert reference.policy is not module.policy
    assert parts["search_runner"].engine is not parts["runner"].engine
