from itertools import product

import pytest
import torch

from p2o.data.experience import make_rows
from p2o.data.prompt import Prompt
from p2o.distillation import Context, ContextDistillation, NoDistillation
from p2o.rollout.engine import Completion
from p2o.rollout.runner import Rollout
from p2o.verifiers.base import Score, Status

BARE, TEMPLATED = (1, 2), (9, 1, 2)
VARIANTS = {
    "context_distillation": ContextDistillation(),
    "crm_soft": ContextDistillation(ratio_weight="soft"),
    "no_crm": ContextDistillation(ratio_weight=None),
    "importance_corrected": ContextDistillation(Context.TEMPLATED, ratio_weight=None),
    "no_distillation": NoDistillation(),
}


def rollout(template: str) -> Rollout:
    return Rollout(
        Prompt.create([{"role": "user", "content": "2 + 2"}], "4"),
        template,
        BARE,
        TEMPLATED if template else BARE,
        Completion((5, 6, 7), "stop", (0.0, 0.0, 0.0)),
        "4",
        Score(1.0, Status.OK),
    )


class Scorer:
    """Log-probabilities that tell the context; remembers what it was asked."""

    def __init__(self):
        self.calls = []

    def __call__(self, pairs):
        self.calls.append(list(pairs))
        return [
            torch.tensor([-1.0, -2.0, -3.0])
            if context == BARE
            else torch.tensor([-0.5, -2.0, -12.0])
            for context, _ in pairs
        ]


@pytest.mark.parametrize("name", VARIANTS)
def test_gradient_context_and_old_log_probs_are_those_of_the_variant(name):
    rows = make_rows([rollout("Think.")], [1.0], VARIANTS[name], Scorer(), on_policy=False)
    on_bare = name != "no_distillation"
    old_bare = name not in ("importance_corrected", "no_distillation")
    assert rows[0].context_ids == (BARE if on_bare else TEMPLATED)
    assert rows[0].old_log_probs is not None
    assert rows[0].old_log_probs.tolist() == (
        [-1.0, -2.0, -3.0] if old_bare else [-0.5, -2.0, -12.0]
    )


def test_the_ratio_mask_zeroes_the_token_whose_ratio_is_out_of_bounds():
    strategy = VARIANTS["context_distillation"]
    [row] = make_rows([rollout("Think.")], [1.0], strategy, Scorer(), on_policy=True)
    # Ratios are exp(-0.5), 1 and exp(9); the bounds are 0.01 and 10.
    assert row.token_weights is not None
    assert row.token_weights.tolist() == [1.0, 1.0, 0.0]


@pytest.mark.parametrize(("name", "on_policy"), list(product(VARIANTS, (False, True))))
def test_nothing_is_computed_that_the_variant_does_not_need(name, on_policy):
    scorer = Scorer()
    make_rows([rollout(""), rollout("Think.")], [1.0, -1.0], VARIANTS[name], scorer, on_policy)
    asked = [context for call in scorer.calls for context, _ in call]
    for_bare_rollout = 0 if on_policy else 1
    contexts = {
        "context_distillation": [BARE, TEMPLATED],
        "crm_soft": [BARE, TEMPLATED],
        "no_crm": [] if on_policy else [BARE],
        "importance_corrected": [TEMPLATED],
        "no_distillation": [] if on_policy else [TEMPLATED],
    }[name]
    assert sorted(asked) == sorted([BARE] * for_bare_rollout + contexts)
    assert len(scorer.calls) <= 1


@pytest.mark.parametrize("name", VARIANTS)
def test_a_bare_rollout_is_the_same_under_every_variant(name):
    [row] = make_rows([rollout("")], [0.5], VARIANTS[name], Scorer(), on_policy=False)
    assert row.context_ids == BARE
    assert row.token_weights is None
    assert row.old_log_probs is not None
    assert row.old_log_probs.tolist() == [-1.0, -2.0, -3.0]
