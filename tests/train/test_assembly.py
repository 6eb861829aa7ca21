"""Each part gets what the configuration says, though several parts want things of one kind."""

from typing import Any

import pytest

from p2o.cli.training import assemble
from p2o.policy.reference import InitialPolicy
from p2o_callbacks import HardSampleMiner


def test_parts_get_the_settings_that_are_theirs(composed):
    config, folder = composed(
        *("data.source.train=8", "data.source.held_out=4", "data.batch=4"),
        *("data.mini_batch=4", "drop_failed_templated=true", "data.held_out_samples=2"),
        *("sampling.train.temperature=0.7", "sampling.evolution.temperature=0.1"),
        *("sampling.held_out.temperature=0.3", "reference=initial"),
        *("algorithm.kl.coefficient=0.25", "algorithm.entropy_coefficient=0.5"),
    )
    training = assemble(config, folder)
    data, module = training.data, training.module
    assert data.loader.sampling.temperature == 0.7
    assert data.evolution_sampling.temperature == 0.1
    assert data.evaluation.sampling.temperature == 0.3
    builder: Any = data.loader.builder
    assert module.policy.temperature == 0.7
    assert module.pass_loss.entropy_coefficient == 0.5
    assert builder.entropy_bonus
    assert module.pass_loss.kl.coefficient == builder.kl.coefficient == 0.25
    assert builder.credit.drop_failed_templated
    reference = builder.divergence._reference.score.keywords["policy"]
    assert isinstance(reference, InitialPolicy)
    assert reference.policy is not module.policy
    assert data._search_runner.engine is not data.loader.runner.engine


TINY = ("data.source.train=8", "data.source.held_out=4", "data.batch=4", "data.mini_batch=4")


@pytest.mark.parametrize(
    ("choices", "line"),
    [
        (
            ["evolution=random_template", "assignment=same_template"],
            "assignment=same_template has no say, as evolution=random_template deals hints out",
        ),
        (
            ["hints=assistant_prefix", "assignment=least_reliance"],
            "assignment=least_reliance has no say, as evolution=assistant_prefix deals hints out",
        ),
        (["evolution=random_template"], ""),
        (["assignment=same_template"], ""),
        (["hints=fixed", "evolution.evolver.hints=[Think.]", "assignment=same_template"], ""),
    ],
)
def test_a_choice_that_changes_nothing_is_told(composed, caplog, choices, line):
    assemble(*composed(*TINY, *choices))
    said = [record.message for record in caplog.records if "has no say" in record.message]
    assert len(said) == bool(line)
    assert all(line in each for each in said)


def test_a_miner_of_ones_own_has_taken_its_hard_set_when_that_is_recorded(composed):
    config, folder = composed(
        *TINY,
        "+callbacks.never._target_=p2o_callbacks.HardSampleMiner",
        *("+callbacks.never.name=never", "+callbacks.never.threshold=1"),
        "evolution.callback.miner=never",
    )
    callbacks = assemble(config, folder).callbacks
    kinds = [type(each).__name__ for each in callbacks]
    recorder = kinds.index("RunRecorder")
    miners = [each.name for each in callbacks[:recorder] if isinstance(each, HardSampleMiner)]
    assert miners == ["hard", "never"]
    # What may end a run stands behind it.
    assert {"FiniteUpdates", "MetricBounds"} <= {*kinds[recorder:]}
