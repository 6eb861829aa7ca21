"""A stream that nothing in p2o knows goes from the experience to a loss: one entry, no edit."""

import copy
from dataclasses import replace
from typing import Any

import pytest
import torch
from lightning.pytorch import Trainer
from torch.utils.data import DataLoader

from p2o.accounting.ledger import Ledger
from p2o.distillation import ContextDistillation, TopKReverseKL
from p2o.learning.baseline import GroupMean
from p2o.learning.credit import CreditAssignment
from p2o.learning.experience import ExperienceBuilder
from p2o.learning.minibatch import MiniBatch
from p2o.learning.module import P2OModule
from p2o.learning.scored import STREAMS, Choices, Contexts, Scored
from p2o.learning.sizes import BatchSizes
from p2o.objectives import ClippedLoss, KLPenalty, Overlong, group_advantages
from p2o.objectives.engine_correction import EngineCorrection
from p2o.objectives.policy_loss import PolicyLoss
from p2o.policy.packing import ALWAYS, Packer
from p2o.prompt import Context, Prompt
from p2o.rollout.engine import Completion
from p2o.rollout.runner import Rollout
from p2o.sample import Sample
from p2o.verifiers.base import Score, Status
from tests.unpack import seen

PACKERS = {
    "rows": Packer(),
    "trees": Packer(ALWAYS),
    "a pass for each row": Packer(pass_tokens=1),
    "passes of trees": Packer(ALWAYS, pass_tokens=16),
}


class Difficult(ClippedLoss):
    """Weighs tokens by a stream of which only its own file knows, 1 where it is not there."""

    reads = ("difficulty", "policy_version")
    received: list

    def __init__(self) -> None:
        super().__init__()
        object.__setattr__(self, "received", [])

    def token_losses(self, log_probs, log_ratio, advantages, sequences, **streams):
        difficulty = streams["difficulty"]
        self.received.append(difficulty)
        assert (streams["policy_version"] == 7).all()
        losses, shares = super().token_losses(log_probs, log_ratio, advantages, sequences)
        return losses * torch.where(difficulty.isnan(), 1.0, difficulty), shares


def difficulty(scored: Scored) -> torch.Tensor | None:
    """A value of each learned token, by which it can be told wherever it is; of some samples."""
    if scored.rollout.prompt.question == "unknown":
        return None
    return torch.tensor([token / 100 for token in scored.rollout.completion.sampled_ids])


def groups() -> list[list[Rollout]]:
    """With a template of which the mask drops a token, with tokens of a tool, and plain."""
    made = []
    for number, (question, template) in enumerate([("a", "Think."), ("b", ""), ("unknown", "")]):
        bare = (5 + number, 6, 7)
        group = []
        for k in range(4):
            ids = (20 + k, 30 + number, 40 + k % 2, 50)
            chosen = (True, False, True, True) if question == "b" else None
            group.append(
                Rollout(
                    Prompt.create([{"role": "user", "content": question}], "4"),
                    template,
                    bare,
                    (9, *bare) if template else bare,
                    Context.TEMPLATED,
                    Completion(ids, "stop", (-1.0,) * 4, chosen),
                    "4",
                    Score(float(k == 1), Status.OK, solved=k == 1),
                )
            )
        made.append(group)
    return made


def score(passes) -> list[torch.Tensor]:
    """So that in the templated group the ratio of tokens from 40 to 49 is out of bounds."""
    scored = []
    for packed in passes:
        pairs = zip(seen(packed), packed.targets.tolist(), strict=True)
        scored.append(torch.tensor([5.0 if 9 in b and 40 <= t < 50 else -1.0 for b, t in pairs]))
    return scored


def micro_batches(packer: Packer, parts: int) -> list[MiniBatch]:
    builder = ExperienceBuilder(
        BatchSizes(4, 3, 3, micro_batches=parts),
        CreditAssignment(group_advantages, GroupMean(), Overlong(4), False),
        ContextDistillation(masked_in_denominator=False),
        lambda: packer,
        score,
        None,
        KLPenalty(),
        False,
        Ledger(),
        updates=lambda: 7,
        streams={**STREAMS, "difficulty": difficulty},
    )
    batches: list[Any] = builder.build(groups()).micro_batches
    return [MiniBatch.from_state(copy.deepcopy(batch.state_dict())) for batch in batches]


def trained(
    model,
    batches: list[MiniBatch],
    loss: PolicyLoss | None = None,
    correction: EngineCorrection | None = None,
) -> tuple[dict[str, torch.Tensor], list[torch.Tensor]]:
    """Change of the weights in one update, and what `Difficult` was given, the loss unless told."""
    loss = loss or Difficult()
    module = P2OModule(
        copy.deepcopy(model),
        loss,
        lambda parameters: torch.optim.SGD(parameters, lr=1.0),
        correction=correction,
    )
    before = copy.deepcopy(module.state_dict())
    Trainer(
        accelerator="cpu",
        max_epochs=1,
        accumulate_grad_batches=len(batches),
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        use_distributed_sampler=False,
    ).fit(module, DataLoader(batches, batch_size=None, collate_fn=lambda batch: batch))  # type: ignore[arg-type]
    change = {name: before[name] - value for name, value in module.state_dict().items()}
    return change, getattr(loss, "received", [])


@pytest.mark.slow
@pytest.mark.parametrize("parts", [1, 3])
@pytest.mark.parametrize("packing", PACKERS)
def test_values_stay_with_their_tokens(tiny_model, packing, parts):
    batches = micro_batches(PACKERS[packing], parts)
    _, received = trained(tiny_model, batches)
    given = torch.cat(received)
    targets = torch.cat([packed.targets for batch in batches for packed in batch.passes])
    known = ~given.isnan()
    # Of the group without the stream all four tokens of four samples are there, not a number.
    assert (~known).sum() == 16
    torch.testing.assert_close(given[known], targets[known] / 100)
    # The tool's tokens, 31, are not learned; the mask has dropped the 40s of the templated group.
    assert 31 not in targets
    assert known.sum() == 4 * 3 + 4 * 3


@pytest.mark.parametrize("packing", PACKERS)
def test_the_gradient_is_that_of_a_plain_forward_pass(tiny_model, packing):
    change, _ = trained(tiny_model, micro_batches(PACKERS[packing], 2))
    model = copy.deepcopy(tiny_model)
    total, tokens = torch.zeros(()), 0
    for group in groups():
        rewards = torch.tensor([[rollout.score.reward for rollout in group]])
        for rollout, advantage in zip(group, group_advantages(rewards)[0], strict=True):
            ids = torch.tensor([[*rollout.bare_ids, *rollout.completion.token_ids]])
            log_probs = model(ids).logits[0].log_softmax(-1)
            for place, token in enumerate(rollout.completion.token_ids):
                dropped = bool(rollout.hint) and 40 <= token < 50
                mask = rollout.completion.loss_mask
                if dropped or (mask is not None and not mask[place]):
                    continue
                at = len(rollout.bare_ids) + place
                weight = 1.0 if rollout.prompt.question == "unknown" else token / 100
                old = log_probs[at - 1, token].detach()
                if rollout.hint:
                    # Scored beforehand, so that the ratio is another one; both are clipped alike.
                    old = torch.tensor(-1.0)
                ratio = (log_probs[at - 1, token] - old).exp()
                clipped = ratio.clamp(0.8, 1.2)
                total = total - torch.minimum(ratio * advantage, clipped * advantage) * weight
                tokens += 1
    (total / tokens).backward()
    expected = {f"policy.model.{name}": p.grad for name, p in model.named_parameters()}
    for name, gradient in expected.items():
        if gradient is not None:
            torch.testing.assert_close(change[name], gradient, atol=1e-6, rtol=1e-4)


class ByDifficulty(EngineCorrection):
    """A correction that reads a stream of its own, and the policy's entropies."""

    reads = ("difficulty", "entropies")

    def __call__(self, log_probs, sampled, sequences, **streams):
        assert (streams["entropies"] >= 0).all()
        assert not streams["entropies"].requires_grad
        difficulty = streams["difficulty"]
        return torch.where(difficulty.isnan(), 1.0, difficulty)


def test_a_correction_names_what_else_it_reads(tiny_model):
    """Weights from the correction are those that a loss makes of the same stream."""
    batches = micro_batches(Packer(ALWAYS), 2)
    by_loss, _ = trained(tiny_model, batches)
    by_correction, _ = trained(tiny_model, batches, ClippedLoss(), ByDifficulty())
    for name, change in by_loss.items():
        torch.testing.assert_close(by_correction[name], change)


def test_choices_carry_streams_as_sampled_tokens_do():
    """A choice has the value of its place or its own; what a sampled token has is left out."""
    rollout = groups()[0][0]
    chosen = len(rollout.completion.sampled_ids)
    tokens = torch.arange(2 * chosen).view(chosen, 2)
    bare = -tokens.float() / 10
    scored = Scored(
        rollout,
        1.0,
        Contexts(TopKReverseKL(choices=2)),
        {},
        reference=torch.zeros(chosen),
        updates=7,
        choices=Choices(tokens, bare, bare - 1),
    )
    sample = scored.sample(
        {**STREAMS, "difficulty": difficulty, "apart": lambda scored: scored.bare + 1}
    )
    assert sample.choices is tokens
    assert sample.streams.keys() == {
        *("advantages", "old_log_probs", "policy_version", "difficulty", "apart")
    }
    assert sample.streams["difficulty"].tolist() == pytest.approx(
        [token / 100 for token in rollout.completion.sampled_ids for _ in range(2)]
    )
    assert torch.equal(sample.streams["apart"], bare.flatten() + 1)
    assert torch.equal(sample.streams["old_log_probs"], bare.flatten())
    assert sample.streams["policy_version"].tolist() == [7.0] * 2 * chosen


@pytest.mark.parametrize("choices", [None, torch.zeros(3, 2, dtype=torch.long)])
def test_a_stream_of_another_length_is_named(choices):
    sample = replace(Sample.of([1], [2, 3, 4]), choices=choices)
    with pytest.raises(ValueError, match=r"difficulty: 4 values for 3 places; give one for each"):
        sample.with_streams(difficulty=torch.zeros(4))
