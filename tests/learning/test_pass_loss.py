"""How far engine and trainer are apart, where that is known and where it is not."""

import math

import pytest
import torch

from p2o.configuration.build import build
from p2o.configuration.overrides import as_running, compose_config
from p2o.learning.pass_loss import compare_with_engine
from p2o.learning.scored import STREAMS, Contexts, Scored
from p2o.learning.step_metrics import StepMetrics
from p2o.prompt import Context
from tests.learning.test_streams import groups

NAN = math.nan


@pytest.mark.parametrize(
    ("passes", "kl", "highest"),
    [
        ([[0.0, 0.5, NAN], [NAN, -1.0]], (0.5, -1.0), math.exp(0.5)),
        ([[NAN], [-1.0]], (-1.0,), math.exp(-1.0)),
        ([[NAN, NAN], []], (), NAN),
    ],
)
def test_what_is_not_known_is_no_part_of_a_mean_nor_a_highest_value(passes, kl, highest):
    metrics = StepMetrics()
    for values in passes:
        share, largest = compare_with_engine(torch.tensor(values, dtype=torch.float64))
        metrics.add({"engine_kl": share})
        metrics.add_highest({"engine_ratio_max": largest})
    known = [value for values in passes for value in values if not math.isnan(value)]
    expected = sum(math.exp(r) - 1 - r for r in kl) / len(known) if known else NAN
    [found] = metrics.means(lambda sums: sums).values()
    assert float(found) == pytest.approx(expected, nan_ok=True)
    [found] = metrics.highest(lambda values: values).values()
    assert float(found) == pytest.approx(highest, nan_ok=True)


def test_weights_of_a_mean_are_not_rounded_where_half_precision_is_the_default_type():
    metrics = StepMetrics()
    torch.set_default_dtype(torch.bfloat16)
    try:
        for value in (1.0, 2.0, 3.0):
            metrics.add({"loss": (torch.tensor(value, dtype=torch.float32) / 3, 1 / 3)})
    finally:
        torch.set_default_dtype(torch.float32)
    [found] = metrics.means(lambda sums: sums).values()
    assert float(found) == pytest.approx(2.0, rel=1e-6)


@pytest.mark.parametrize(
    ("strategy", "scored_in", "known"),
    [
        ("importance_corrected", Context.TEMPLATED, True),
        ("context_distillation", Context.TEMPLATED, True),
        ("no_crm", Context.BARE, False),
    ],
)
def test_a_rollout_that_is_scored_as_it_was_sampled_is_compared(strategy, scored_in, known):
    with as_running(compose_config([f"distillation={strategy}"], "train")) as config:
        contexts = Contexts(build(config.distillation, "distillation"))
    rollout = groups()[0][0]
    scored = Scored(rollout, 1.0, contexts, {scored_in: torch.full((4,), -3.0)})
    ratio = STREAMS["engine_log_ratio"](scored)
    assert (ratio is not None) == known
    if ratio is not None:
        assert torch.equal(torch.as_tensor(ratio), torch.full((4,), -2.0))
