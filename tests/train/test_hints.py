"""Every kind of hint, from a search to the gradient, on the embedded world."""

import json

import pytest
import torch
import yaml

from p2o.cli import training
from p2o.configuration.build import conf_directory
from p2o.errors import UserError
from p2o.learning.experience import ExperienceBuilder
from p2o.learning.samples import sample_of
from p2o.prompt import Context
from p2o.records import read

pytestmark = pytest.mark.slow

SMALL = (
    *("data.source.train=16", "data.source.held_out=4", "data.source.short_share=0.5"),
    *("data.batch=8", "data.mini_batch=8", "data.group_size=4", "trainer.max_epochs=3"),
    *("data.max_prompt_tokens=200", "optimizer.lr=1e-4", "callbacks.accuracy_floor=null"),
)
KINDS = {
    "fixed": ["evolution.evolver.dev_size=4"],
    "demonstrations": ["evolution.evolver.number=2", "evolution.evolver.dev_size=4"],
    "similar_demonstrations": ["evolution.evolver.number=2"],
    "solution_share": [],
    "annealed_share": ["evolution.evolver.share.searches=3"],
    "adaptive_share": [],
    "searched_share": [],
    "assistant_prefix": [],
    "tiered": [],
    "self_hint": ["reflection=phrasebook"],
}
UNTRIED = {"solution_share", "annealed_share", "adaptive_share", "assistant_prefix"}


@pytest.mark.parametrize("kind", KINDS)
def test_a_hint_reaches_the_gradient(train_here, monkeypatch, kind):
    gaps, templated, build = [], [], ExperienceBuilder.build

    def compared(self, groups):
        rollouts = [rollout for group in groups for rollout in group]
        templated.extend(rollout for rollout in rollouts if rollout.templated)
        pairs = [(r, context) for r in rollouts if r.templated for context in Context]
        for (rollout, context), values in zip(pairs, self._score(pairs), strict=True):
            gaps.append((values - plain(rollout, context)).abs().max().item())
        return build(self, groups)

    def plain(rollout, context):
        sample = sample_of(rollout, context)
        ids = torch.tensor([sample.token_ids])
        with torch.no_grad():
            logits = network[0](ids).logits[0, :-1].log_softmax(-1)
        return logits.gather(-1, ids[0, 1:, None])[:, 0][sample.loss_mask[1:]]

    network = []
    monkeypatch.setattr(ExperienceBuilder, "build", compared)
    monkeypatch.setattr(
        training, "configured_policy", remembered(training.configured_policy, network)
    )
    folder = train_here(f"hints={kind}", *SMALL, *KINDS[kind])
    # The embedded policy has never seen a second turn; demonstrations help it nowhere.
    if kind != "demonstrations":
        assert templated
    assert max(gaps, default=0.0) < 1e-3
    spent = json.loads((folder / "summary.json").read_text())["ledger"]
    assert spent["train"]["rollouts"] == 3 * 16 * 4
    assert spent["evolution"]["rollouts"] == spent["evolution"]["metric_calls"]
    assert (spent["evolution"]["metric_calls"] == 0) == (kind in UNTRIED)
    if kind == "assistant_prefix":
        assert all(r.response.startswith("Let us go slowly.") for r in templated)
        assert all(not r.completion.loss_mask[0] for r in templated)
    pools = [json.loads(path.read_text()) for path in sorted(folder.glob("evolution/epoch_*.json"))]
    assert len(pools) == 2
    tried = [template for pool in pools for template in pool["templates"]]
    if "demonstrations" in kind:
        assert any(template.get("turns") for template in tried)
    if kind != "demonstrations":
        assert any(pool["assignment"] for pool in pools)


def remembered(make, kept):
    """Make a policy and keep its network."""

    def made(*arguments):
        model, tokenizer = make(*arguments)
        kept.append(model)
        return model, tokenizer

    return made


def test_all_problems_have_hints_from_the_start_and_keep_them(train_here, monkeypatch):
    """Hints that stay: trained with, and held-out problems are asked with them."""
    asked, build = [], ExperienceBuilder.build

    def looked(self, groups):
        asked.extend(rollout.templated for group in groups for rollout in group)
        return build(self, groups)

    monkeypatch.setattr(ExperienceBuilder, "build", looked)
    folder = train_here(
        *("hints=fixed", "evolution.evolver.hints=[Go from left to right.]"),
        *("evolution.evolver.among=all", "evolution.callback.at_start=true"),
        *("distillation=no_distillation", "held_out_hint=best", *SMALL),
    )
    assert len(asked) == 3 * 16 * 4
    assert all(asked)
    assert (folder / "evolution" / "epoch_0000.json").is_file()


@pytest.mark.parametrize("kind", ["solution_share", "demonstrations"])
def test_one_rollout_of_each_hinted_group_stays_bare(train_here, monkeypatch, kind):
    made, build = [], ExperienceBuilder.build

    def looked(self, groups):
        made.extend([rollout.templated for rollout in group] for group in groups)
        return build(self, groups)

    monkeypatch.setattr(ExperienceBuilder, "build", looked)
    train_here(f"hints={kind}", "evolution.callback.bare_rollouts=1", *SMALL)
    hinted = [group for group in made if any(group)]
    assert hinted
    assert {tuple(group) for group in hinted} == {(True, True, True, False)}


def test_hints_are_searched_in_the_middle_of_an_epoch(train_here):
    folder = train_here(
        *("hints=fixed", "evolution.evolver.hints=[Go from left to right.]"),
        *("evolution.callback.every_n_steps=1", "evolution.callback.at_start=true"),
        *("evolution.evolver.among=all", "held_out_hint=best", *SMALL),
    )
    # Before the first update, and after each but the last.
    pools = sorted(path.name for path in folder.glob("evolution/*_step_*.json"))
    assert len(pools) > 2
    assert [name.partition("_step_")[2] for name in pools] == [
        f"{number:08}.json" for number in range(len(pools))
    ]


def test_solutions_are_imitated_word_for_word(train_here, monkeypatch):
    """The arm teacher_sft: its loss is the likelihood of verified solutions, nothing else."""
    batches, build = [], ExperienceBuilder.build

    def looked(self, groups):
        experience = build(self, groups)
        batches.append((groups, experience.micro_batches))
        return experience

    monkeypatch.setattr(ExperienceBuilder, "build", looked)
    arm = yaml.safe_load((conf_directory() / "arm" / "teacher_sft.yaml").read_text())
    train_here(*SMALL, *arm["overrides"], "trainer.max_epochs=1")
    groups = [group for some, _ in batches for group in some]
    assert len(groups) == 16
    solved = [rollout for group in groups for rollout in group if rollout.score.solved]
    assert solved
    assert all(r.response.startswith(r.prompt.meta["solution"]) for r in solved)
    learned = sum(len(r.completion.token_ids) for r in solved)
    made = [batch for _, some in batches for batch in some if batch is not None]
    advantages = torch.cat([batch.stream("advantages", 0.0) for batch in made])
    assert advantages.tolist() == [1.0] * learned
    assert all("old_log_probs" not in batch.streams for batch in made)


def test_a_forced_beginning_is_refused_where_rollouts_are_bare(train_here):
    with pytest.raises(UserError, match="no answer has a forced beginning"):
        train_here("hints=assistant_prefix", "distillation=reverse_kl", *SMALL)


def test_what_the_writer_of_hints_was_asked_is_on_record(train_here):
    folder = train_here("hints=self_hint", "reflection=hint_writer", *SMALL)
    records = read(folder)
    rows = records.candidates().to_pylist()
    candidates = {(row["epoch"], row["candidate"]): row for row in rows}
    exchanges = records.exchanges().to_pylist()
    assert len(exchanges) == len(candidates) > 0
    for said in exchanges:
        written = candidates[said["epoch"], said["candidate"]]["hint"]
        assert "Do not solve the problem" in said["prompt"]
        assert not written or records.texts()[written] == said["answer"].strip()
