"""Gradients of the whole path must not depend on how an optimiser step is split."""

import copy
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from lightning.pytorch import Callback, Trainer
from torch.utils.data import DataLoader

from p2o.data.minibatch import Row, collate
from p2o.module import P2OModule
from p2o.objectives import ClippedLoss, KLPenalty
from p2o.reference import InitialPolicy
from p2o_callbacks import MetricBounds, TrainingCollapsed


def rows(count=12):
    generator = torch.Generator().manual_seed(1)

    def tokens(low, high):
        length = int(torch.randint(low, high, (), generator=generator))
        return tuple(torch.randint(4, 200, (length,), generator=generator).tolist())

    made = []
    for index in range(count):
        response = tokens(1, 9)
        made.append(
            Row(
                tokens(2, 7),
                response,
                float(torch.randn((), generator=generator)),
                old_log_probs=torch.randn(len(response), generator=generator) * 0.1 - 5.3
                if index % 2
                else None,
                token_weights=(torch.rand(len(response), generator=generator) > 0.3).float()
                if index % 3
                else None,
            )
        )
    return made


def step(model, parts, aggregation, **trainer):
    """Gradients after one optimiser step that is split into `parts`."""
    everything = [row for part in parts for row in part]
    tokens = sum(len(row.response_ids) for row in everything) + 17
    batches = [collate(part, tokens, len(everything) + 3) for part in parts]
    module = P2OModule(
        copy.deepcopy(model),
        ClippedLoss(aggregation=aggregation),
        optimizer=lambda parameters: torch.optim.SGD(parameters, lr=1.0),
    )
    before = copy.deepcopy(module.state_dict())
    Trainer(
        accelerator="cpu",
        max_epochs=1,
        accumulate_grad_batches=len(parts),
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        use_distributed_sampler=False,
        **trainer,
    ).fit(module, DataLoader(batches, batch_size=None))  # type: ignore[arg-type]
    return {name: before[name] - value for name, value in module.state_dict().items()}


@pytest.mark.parametrize(
    "aggregation", ["token-mean", "sequence-mean-token-sum", "sequence-mean-token-mean"]
)
def test_accumulation_over_1_2_and_4_micro_batches_gives_the_same_gradient(tiny_model, aggregation):
    all_rows = rows()
    whole = step(tiny_model, [all_rows], aggregation)
    assert max(value.abs().max() for value in whole.values()) > 1e-4
    for parts in ([all_rows[:5], all_rows[5:]], [all_rows[i::4] for i in range(4)]):
        split = step(tiny_model, parts, aggregation)
        for name, value in whole.items():
            torch.testing.assert_close(split[name], value, atol=1e-6, rtol=1e-4)


def test_order_of_rows_and_a_row_without_advantage_do_not_matter(tiny_model):
    all_rows = rows()
    whole = step(tiny_model, [all_rows], "token-mean")
    backwards = step(tiny_model, [all_rows[::-1]], "token-mean")
    for name, value in whole.items():
        torch.testing.assert_close(backwards[name], value, atol=1e-6, rtol=1e-4)


def test_rows_of_zero_advantage_have_exactly_no_gradient(tiny_model):
    dead = [Row(row.context_ids, row.response_ids, 0.0) for row in rows()]
    change = step(tiny_model, [dead], "token-mean")
    assert not any(value.any() for value in change.values())


def test_scores_are_the_log_probs_of_the_training_pass(tiny_model):
    module = P2OModule(tiny_model, ClippedLoss(), torch.optim.SGD, score_batch_size=5)
    made = rows()
    scored = module.score_responses([(row.context_ids, row.response_ids) for row in made])
    batch = collate(made, 1, 1)
    log_probs, _ = module.policy(batch.input_ids, batch.prompt_lengths, batch.response_lengths)
    for index, (row, found) in enumerate(zip(made, scored, strict=True)):
        wanted = log_probs[index, : len(row.response_ids)].detach()
        torch.testing.assert_close(found, wanted, atol=1e-5, rtol=1e-5)
        assert not found.requires_grad


@pytest.mark.parametrize("precision", ["32-true", "bf16-mixed"])
def test_old_log_probs_have_the_precision_of_the_training_pass(tiny_model, precision):
    """Otherwise the ratio of an unchanged policy is not one."""
    made, differences = rows(), []

    class Probe(P2OModule):
        def on_train_batch_start(self, batch, batch_idx):
            # Where the loader scores: outside of the training step.
            pairs = [(row.context_ids, row.response_ids) for row in made]
            self.scored = torch.nn.utils.rnn.pad_sequence(
                self.score_responses(pairs), batch_first=True
            )

        def training_step(self, batch, batch_index):
            lengths = batch.prompt_lengths, batch.response_lengths
            log_probs, _ = self.policy(batch.input_ids, *lengths)
            differences.append((log_probs - self.scored).abs().max().item())
            return super().training_step(batch, batch_index)

    Trainer(
        accelerator="cpu",
        precision=precision,
        max_epochs=1,
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
    ).fit(
        Probe(tiny_model, ClippedLoss(), torch.optim.SGD),
        DataLoader([collate(made, 100, 12)], batch_size=None),  # type: ignore[arg-type]
    )
    assert differences[0] < 1e-5


def fitted(model, batches, accumulate=1, callbacks=(), **settings):
    """The module after one epoch over `batches` with an optimiser that has momentum."""
    module = P2OModule(
        copy.deepcopy(model),
        ClippedLoss(),
        optimizer=lambda parameters: torch.optim.AdamW(parameters, lr=0.01, weight_decay=0.1),
        **settings,
    )
    Trainer(
        accelerator="cpu",
        max_epochs=1,
        accumulate_grad_batches=accumulate,
        callbacks=list(callbacks),
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        use_distributed_sampler=False,
    ).fit(module, DataLoader(batches, batch_size=None, collate_fn=lambda batch: batch))  # type: ignore[arg-type]
    return module


class Logged(Callback):
    """What was logged of each optimiser step."""

    def __init__(self):
        self.steps = []

    def on_train_batch_end(self, trainer, pl_module, outputs, batch, batch_idx):
        if trainer.global_step > len(self.steps):
            self.steps.append(
                {
                    name.removeprefix("train/"): value.item()
                    for name, value in trainer.callback_metrics.items()
                }
            )


def constant(optimizer, num_training_steps):
    """A schedule that counts."""
    return torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: 1 / (1 + step))


@pytest.mark.parametrize("accumulate", [1, 2])
def test_a_step_without_gradient_is_no_step_for_anything(tiny_model, accumulate):
    """Momentum and weight decay move no weights, and schedule and step count stay."""
    batch = collate(rows(), 60, 12)
    nothing = [None] * 2 * accumulate
    working = fitted(tiny_model, [batch] * 2 * accumulate, accumulate, scheduler=constant)
    rested = fitted(
        tiny_model,
        [batch] * accumulate + nothing + [batch] * accumulate + nothing,
        accumulate,
        scheduler=constant,
    )
    for name, value in working.state_dict().items():
        assert torch.equal(rested.state_dict()[name], value), name
    for module in (working, rested):
        assert module.trainer.global_step == 2
        scheduler: Any = module.lr_schedulers()
        assert scheduler.last_epoch == 2


def filler(row):
    return replace(
        row,
        advantage=0.0,
        token_weights=None,
        old_log_probs=None,
        reference_log_probs=None,
        counts=torch.zeros(len(row.response_ids), dtype=torch.bool),
    )


@pytest.mark.parametrize("parts", [1, 3, 16])
def test_metrics_are_means_over_the_learned_tokens_of_the_whole_step(tiny_model, parts):
    """However the step is split, and though most micro-batches only fill up."""
    made = [
        replace(row, reference_log_probs=torch.full((len(row.response_ids),), -5.0))
        for row in rows(6)
    ]
    # One row measures no divergence, one has a token outside the loss.
    made[1] = replace(made[1], reference_log_probs=None)
    counts = torch.ones(len(made[2].response_ids), dtype=torch.bool)
    counts[-1] = False
    made[2] = replace(made[2], counts=counts)
    tokens = sum(len(row.response_ids) for row in made) - 1
    module = P2OModule(tiny_model, ClippedLoss(), torch.optim.SGD)
    entropies, divergences, differences = [], [], []
    for row in made:
        learned = slice(None) if row.counts is None else row.counts
        log_probs, entropy = (
            value[0].detach()[learned]
            for value in module.policy(
                torch.tensor([row.context_ids + row.response_ids]),
                torch.tensor([len(row.context_ids)]),
                torch.tensor([len(row.response_ids)]),
            )
        )
        entropies.append(entropy)
        if row.reference_log_probs is not None:
            difference = row.reference_log_probs[learned] - log_probs
            divergences.append(difference.exp() - 1 - difference)
        old = log_probs if row.old_log_probs is None else row.old_log_probs[learned]
        differences.append(old - log_probs)
    logged = Logged()
    shares = [made[start::parts] or [filler(made[0])] for start in range(parts)]
    batches = [collate(share, tokens, len(made), with_reference=True) for share in shares]
    fitted(tiny_model, batches, parts, [logged])
    [found] = logged.steps
    for name, values in (
        ("entropy", entropies),
        ("kl", divergences),
        ("approx_kl", differences),
    ):
        assert found[name] == pytest.approx(torch.cat(values).mean().item(), rel=1e-4), name
    whole = Logged()
    fitted(tiny_model, [collate(made, tokens, len(made), with_reference=True)], 1, [whole])
    assert found == pytest.approx(whole.steps[0], rel=1e-4)


def with_divergence(row, value=0.0):
    """A row whose reference log-probabilities are far from the policy's, by `value` a token."""
    return replace(row, reference_log_probs=torch.full((len(row.response_ids),), -5.3 + value))


def test_guards_look_at_each_update_once_and_never_at_what_fills_up(tiny_model):
    near, far = [[with_divergence(row, value) for row in rows(2)] for value in (0.0, 9.0)]
    near, far = (
        [collate(part, 20, 4, with_reference=True) for part in (made[:1], made[1:])]
        for made in (near, far)
    )
    empty = [collate([filler(rows(1)[0])], 20, 4, with_reference=True)] * 2

    def updates(batches):
        guard, logged = MetricBounds("train/kl", maximum=50.0, patience=2), Logged()
        try:
            fitted(tiny_model, batches, 2, [guard, logged])
        except TrainingCollapsed as collapse:
            return str(collapse)
        return len(logged.steps)

    # Two updates in a row end it. One does not, though it has two micro-batches and idle steps
    # follow; an update that measured nothing is no sign of health.
    assert "after update 3" in str(updates([*near, *far, *far, *near]))
    assert updates([*far, None, None, *near, *far, None, None, *near]) == 4
    assert "after update 3" in str(updates([*far, *empty, *far, *near]))


def test_tokens_that_do_not_count_have_no_gradient_from_any_term(tiny_model):
    """Not from the policy loss, the divergence or the entropy."""
    nothing = [
        replace(
            row,
            counts=torch.zeros(len(row.response_ids), dtype=torch.bool),
            reference_log_probs=torch.full((len(row.response_ids),), -1.0),
        )
        for row in rows()
    ]
    module = P2OModule(
        tiny_model,
        ClippedLoss(),
        torch.optim.SGD,
        kl=KLPenalty(coefficient=0.5),
        entropy_coefficient=0.5,
    )
    loss = loss_of(module, collate(nothing, 10, 12, with_reference=True))
    loss.backward()
    assert loss.item() == 0
    assert not any(p.grad.any() for p in module.parameters() if p.grad is not None)


def test_an_entropy_bonus_has_the_gradient_of_entropy(tiny_model):
    made = [replace(row, advantage=0.0, old_log_probs=None) for row in rows(4)]
    tokens = sum(len(row.response_ids) for row in made)
    module = P2OModule(tiny_model, ClippedLoss(), torch.optim.SGD, entropy_coefficient=0.3)
    loss_of(module, collate(made, tokens, 4)).backward()
    found = {name: p.grad.clone() for name, p in tiny_model.named_parameters()}
    tiny_model.zero_grad()
    total = torch.tensor(0.0)
    for row in made:
        logits = tiny_model(torch.tensor([row.context_ids + row.response_ids])).logits[0]
        logits = logits[len(row.context_ids) - 1 : -1]
        total = total + torch.distributions.Categorical(logits=logits).entropy().sum()
    (-0.3 * total / tokens).backward()
    for name, parameter in tiny_model.named_parameters():
        torch.testing.assert_close(found[name], parameter.grad, atol=1e-6, rtol=1e-4)


def loss_of(module, batch):
    """The loss of one training step, outside of a fit."""
    module.log_dict = lambda *arguments, **keywords: None
    module._trainer = SimpleNamespace(accumulate_grad_batches=1, world_size=1)
    return module.training_step(batch, 0)


def test_the_reference_policy_stays_where_training_began(tiny_model):
    module = P2OModule(tiny_model, ClippedLoss(), torch.optim.SGD)
    reference = InitialPolicy(module.policy)
    pairs = [(row.context_ids, row.response_ids) for row in rows(3)]
    before = module.score_responses(pairs)
    with torch.no_grad():
        for parameter in tiny_model.parameters():
            parameter.mul_(1.3)
    assert not torch.allclose(module.score_responses(pairs)[0], before[0])
    for found, wanted in zip(module.score_responses(pairs, reference), before, strict=True):
        torch.testing.assert_close(found, wanted)
    assert not any(parameter.requires_grad for parameter in reference.parameters())
