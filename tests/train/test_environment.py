"""A run with an environment of several turns."""

import csv
import json

import pytest

from p2o.learning.experience import ExperienceBuilder
from tests.calculator import Calculator, said

pytestmark = pytest.mark.slow

SMALL = (
    *("data.source.train=16", "data.source.held_out=4", "data.source.short_share=0.5"),
    *("data.batch=8", "data.mini_batch=8", "data.group_size=6", "trainer.max_epochs=2"),
    *("evolution=random_template", "evolution.evolver.minimum=1", "callbacks.accuracy_floor=null"),
)


@pytest.fixture
def trained(train_here, monkeypatch, tokenizer):
    """Train with the calculator; returns all rollouts and the run's folder."""

    def run(*more):
        rollouts, build = [], ExperienceBuilder.build

        def noted(self, groups):
            rollouts.extend(rollout for group in groups for rollout in group)
            return build(self, groups)

        monkeypatch.setattr(ExperienceBuilder, "build", noted)
        target = f"{Calculator.__module__}.Calculator"
        folder = train_here(f"environment._target_={target}", *SMALL, *more)
        return rollouts, folder

    return run


def test_a_run_rolls_out_with_the_environment_that_is_configured(trained, tokenizer):
    rollouts, folder = trained("+environment.fails_at=3")
    call = tokenizer.convert_tokens_to_ids("Let")
    failed = [r for r in rollouts if r.score.failed]
    called = [r for r in rollouts if call in r.completion.token_ids]
    assert failed
    assert called
    for rollout in called:
        completion = rollout.completion
        place = completion.token_ids.index(call) + 1
        end = place + len(said(rollout.prompt))
        words = tokenizer.convert_ids_to_tokens(list(completion.token_ids[place:end]))
        assert words == said(rollout.prompt)
        assert completion.loss_mask == tuple(
            not place <= index < end for index in range(len(completion.token_ids))
        )
        assert rollout.response == tokenizer.decode(completion.token_ids, skip_special_tokens=True)
    for rollout in failed:
        assert rollout.score.detail == "no totals of 3 digits"
    # What was inserted is no length of the policy's, and a rollout of two turns is one.
    rows = [row for row in csv.DictReader((folder / "metrics.csv").open()) if row["reward/mean"]]
    steps = [rollouts[start : start + 48] for start in range(0, len(rollouts), 48)]
    for row, step in zip(rows, steps, strict=True):
        sampled = sum(len(r.completion.sampled_ids) for r in step) / len(step)
        inserted = sum(len(r.completion.token_ids) for r in step) / len(step) - sampled
        assert float(row["response/tokens"]) == pytest.approx(sampled)
        assert float(row["response/inserted_tokens"] or 0) == pytest.approx(inserted)
    summary = json.loads((folder / "summary.json").read_text())
    assert summary["ledger"]["train"]["rollouts"] == len(rollouts) == 2 * 16 * 6
