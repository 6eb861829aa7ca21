"""Numbers of a batch of groups of which some rollouts have a template."""

import torch

from p2o.learning.metrics import rollout_metrics, template_metrics
from tests.learning.test_experience import pair, rollout, without_verdict


def test_bare_rollouts_of_templated_groups_are_told_apart_from_templated_ones():
    mixed = [rollout("Think.", 1.0), rollout("Slow.", 0.5), rollout("", 0.0), rollout("", 0.25)]
    bare = [rollout("", 1.0)] * 4
    metrics = rollout_metrics([mixed, bare])
    assert metrics["templated/reward"] == 0.75
    assert metrics["templated/bare_reward"] == 0.125
    spread = template_metrics([mixed, bare], torch.zeros(2, 4))["templated/reward_spread"]
    assert spread == 0.25


def test_a_group_of_templated_rollouts_alone_has_no_bare_reward():
    metrics = rollout_metrics([pair("Think."), pair("")])
    assert metrics["templated/reward"] == 0.5
    assert "templated/bare_reward" not in metrics
    late = [without_verdict("Think."), rollout("", 1.0)]
    assert "templated/reward" not in rollout_metrics([late])
    assert "templated/reward_spread" not in template_metrics([late], torch.zeros(1, 2))
