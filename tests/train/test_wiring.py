"""What is trained on is what was sampled: at which temperature, with which weights, after what."""

import pytest

from p2o.learning.experience import ExperienceBuilder
from p2o.prompt import Context

pytestmark = pytest.mark.slow

SMALL = (
    *("data.source.train=8", "data.source.held_out=4", "data.source.short_share=0.5"),
    *("data.batch=4", "data.mini_batch=4", "data.group_size=4", "trainer.max_epochs=3"),
    *("evolution=random_template", "evolution.evolver.minimum=1"),
    *("optimizer.lr=1e-3", "sampling.train.temperature=0.7", "sampling.held_out.temperature=0.3"),
)


@pytest.mark.parametrize(
    ("strategy", "sampled_after"),
    [("context_distillation", Context.TEMPLATED), ("reverse_kl", Context.BARE)],
)
def test_the_training_pass_gives_each_token_the_probability_it_was_sampled_with(
    train_here, monkeypatch, strategy, sampled_after
):
    gaps, contexts, build = [], set(), ExperienceBuilder.build

    def compared(self, groups):
        rollouts = [rollout for group in groups for rollout in group]
        scored = self._score([(r, r.sampled_after) for r in rollouts])
        gaps.extend(
            (log_probs - log_probs.new_tensor(rollout.completion.log_probs)).abs().max().item()
            for rollout, log_probs in zip(rollouts, scored, strict=True)
        )
        contexts.update(r.sampled_after for r in rollouts if r.hint)
        return build(self, groups)

    monkeypatch.setattr(ExperienceBuilder, "build", compared)
    train_here(f"distillation={strategy}", "callbacks.accuracy_floor=null", *SMALL)
    # Of all batches, those after updates included: the engine had the weights of that moment.
    assert len(gaps) == 3 * 8 * 4
    assert max(gaps) < 1e-3
    assert contexts == {sampled_after}
