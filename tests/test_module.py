"""Gradients of the whole path must not depend on how an optimiser step is split."""

import copy

import pytest
import torch
from lightning.pytorch import Trainer
from torch.utils.data import DataLoader

from p2o.data.minibatch import Row, collate
from p2o.module import P2OModule
from p2o.objectives.policy_loss import ClippedLoss


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
