"""Gradients of the whole path must not depend on how an optimiser step is split or packed."""

import copy
import math
from collections.abc import Sequence
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from lightning.pytorch import Callback, Trainer
from torch.utils.data import DataLoader

from p2o.learning.minibatch import MiniBatch, collate
from p2o.learning.module import P2OModule
from p2o.objectives import ClippedLoss, EngineCorrection, KLPenalty
from p2o.policy.packing import ALWAYS, Packer, nothing
from p2o.policy.reference import InitialPolicy
from p2o.sample import Sample
from p2o_callbacks import MetricBounds, TrainingCollapsed

ROWS, TREES = Packer(), Packer(ALWAYS)


def made(count=12) -> list[Sample]:
    """Samples, of which three at a time share a context."""
    generator = torch.Generator().manual_seed(1)

    def tokens(low, high):
        length = int(torch.randint(low, high, (), generator=generator))
        return tuple(torch.randint(4, 200, (length,), generator=generator).tolist())

    contexts = [tokens(2, 7) for _ in range(0, count, 3)]
    samples = []
    for index in range(count):
        response = tokens(1, 9)
        samples.append(
            Sample.of(contexts[index // 3], response).with_streams(
                advantages=float(torch.randn((), generator=generator)),
                old_log_probs=torch.randn(len(response), generator=generator) * 0.1 - 5.3
                if index % 2
                else None,
                token_weights=(torch.rand(len(response), generator=generator) > 0.3).float()
                if index % 3
                else None,
            )
        )
    return samples


def without(sample: Sample, *names: str) -> Sample:
    """Without some of its streams."""
    streams = {name: values for name, values in sample.streams.items() if name not in names}
    return replace(sample, streams=streams)


def together(
    samples: Sequence[Sample], tokens=None, sequences=None, packer=ROWS, names=None
) -> MiniBatch:
    """A mini-batch; of nothing it has the pass that every rank makes."""
    batch = collate(
        samples,
        packer,
        names or sorted({name for sample in samples for name in sample.streams}),
        sum(sample.learned for sample in samples) if tokens is None else tokens,
        len(samples) if sequences is None else sequences,
    )
    batch.passes = batch.passes or [nothing()]
    return batch


def step(model, parts, aggregation, packer=ROWS, **trainer):
    """Change of the weights in one optimiser step that is split into `parts`."""
    everything = [sample for part in parts for sample in part]
    tokens = sum(sample.learned for sample in everything) + 17
    names = sorted({name for sample in everything for name in sample.streams})
    batches = [together(part, tokens, len(everything) + 3, packer, names) for part in parts]
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
    ).fit(module, DataLoader(batches, batch_size=None, collate_fn=lambda batch: batch))  # type: ignore[arg-type]
    return {name: before[name] - value for name, value in module.state_dict().items()}


@pytest.mark.parametrize(
    "aggregation", ["token-mean", "sequence-mean-token-sum", "sequence-mean-token-mean"]
)
def test_accumulation_over_1_2_and_4_micro_batches_gives_the_same_gradient(tiny_model, aggregation):
    samples = made()
    whole = step(tiny_model, [samples], aggregation)
    assert max(value.abs().max() for value in whole.values()) > 1e-4
    for parts in ([samples[:5], samples[5:]], [samples[i::4] for i in range(4)]):
        split = step(tiny_model, parts, aggregation)
        for name, value in whole.items():
            torch.testing.assert_close(split[name], value, atol=1e-6, rtol=1e-4)


PACKINGS = {
    "a tree": (TREES, 1),
    "passes of rows": (Packer(pass_tokens=20), 2),
    "a pass for each row": (Packer(pass_tokens=1), 12),
    "passes of trees": (Packer(ALWAYS, pass_tokens=30), 2),
    "a pass for each tree": (Packer(ALWAYS, pass_tokens=1), 4),
    "trees beside rows": (Packer(9), 2),
}
"""Each with the fewest passes that it makes of all samples."""


@pytest.mark.parametrize("aggregation", ["token-mean", "sequence-mean-token-mean"])
@pytest.mark.parametrize("packing", PACKINGS)
def test_order_of_samples_and_how_they_are_packed_do_not_matter(tiny_model, packing, aggregation):
    packer, passes = PACKINGS[packing]
    samples = made()
    assert len(packer.pack(samples)) >= passes
    assert sum(len(indices) for _, indices in packer.pack(samples)) == len(samples)
    whole = step(tiny_model, [samples], aggregation)
    backwards = step(tiny_model, [samples[::-1]], aggregation, packer)
    for name, value in whole.items():
        torch.testing.assert_close(backwards[name], value, atol=1e-6, rtol=1e-4)


@pytest.mark.parametrize("pass_tokens", [1000, 20, 1])
def test_of_several_passes_one_at_a_time_is_held_and_none_is_made_again(tiny_model, pass_tokens):
    held, seen = [], []

    def note(module, arguments, output):
        if output.requires_grad:
            held.append(output)
            seen.append(len(held))
            output.register_hook(lambda _: held.pop())

    tiny_model.model.layers[0].mlp.register_forward_hook(note)
    passes = len(together(made(), packer=Packer(pass_tokens=pass_tokens)).passes)
    assert (passes == 1) == (pass_tokens == 1000)
    step(tiny_model, [made()], "token-mean", Packer(pass_tokens=pass_tokens))
    assert seen == [1] * passes


@pytest.mark.parametrize("parts", [1, 3])
def test_the_loss_that_is_logged_and_returned_is_that_of_all_passes(tiny_model, parts):
    logged, returned = [], []

    class Note(Callback):
        def on_train_batch_end(self, trainer, pl_module, outputs: Any, batch, batch_idx):
            returned.append(float(outputs["loss"]))

        def on_train_end(self, trainer, pl_module):
            logged.append(float(trainer.callback_metrics["train/loss"]))

    samples = made()
    for packer in (Packer(), Packer(pass_tokens=20)):
        step(
            tiny_model,
            [samples[start::parts] for start in range(parts)],
            "token-mean",
            packer,
            callbacks=[Note()],
        )
    assert logged[1] == pytest.approx(logged[0], rel=1e-5)
    assert returned[parts:] == pytest.approx(returned[:parts], rel=1e-4)


@pytest.mark.parametrize("packer", [ROWS, TREES], ids=repr)
def test_samples_of_zero_advantage_have_exactly_no_gradient(tiny_model, packer):
    dead = [without(s, *s.streams).with_streams(advantages=0.0) for s in made()]
    change = step(tiny_model, [dead], "token-mean", packer)
    assert not any(value.any() for value in change.values())


@pytest.mark.parametrize("packer", [ROWS, TREES, Packer(ALWAYS, pass_tokens=20)], ids=repr)
def test_scores_are_the_log_probs_of_the_training_pass(tiny_model, packer):
    module = P2OModule(tiny_model, ClippedLoss(), torch.optim.SGD)
    samples = made()
    [(rows, in_rows)] = ROWS.pack(samples)
    sizes = [samples[index].learned for index in in_rows]
    wanted = dict(zip(in_rows, module.policy(rows)[0].detach().split(sizes), strict=True))
    packed = packer.pack(samples)
    scored = module.score([rows for rows, _ in packed])
    assert len(scored) == len(packed)
    for (_, indices), found in zip(packed, scored, strict=True):
        expected = torch.cat([wanted[index] for index in indices])
        torch.testing.assert_close(found, expected, atol=1e-5, rtol=1e-5)
        assert not found.requires_grad


def one_update(module, batch, precision):
    Trainer(
        accelerator="cpu",
        precision=precision,
        max_epochs=1,
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
    ).fit(module, DataLoader([batch], batch_size=None))  # type: ignore[arg-type]


@pytest.mark.parametrize("packer", [ROWS, TREES, Packer(ALWAYS, pass_tokens=20)], ids=repr)
@pytest.mark.parametrize("precision", ["32-true", "bf16-mixed"])
def test_old_log_probs_have_the_precision_of_the_training_pass(tiny_model, precision, packer):
    """Otherwise the ratio of an unchanged policy is not one."""
    differences = []

    class Probe(P2OModule):
        def on_train_batch_start(self, batch, batch_idx):
            # Where the loader scores: outside of the training step.
            self.scored = torch.cat(self.score(batch.passes))

        def training_step(self, batch, batch_index):
            log_probs = torch.cat([self.policy(packed)[0] for packed in batch.passes])
            differences.append((log_probs - self.scored).abs().max().item())
            return super().training_step(batch, batch_index)

    one_update(
        Probe(tiny_model, ClippedLoss(), torch.optim.SGD),
        together(made(), packer=packer),
        precision,
    )
    assert differences[0] < 1e-5


@pytest.mark.parametrize("precision", ["32-true", "bf16-mixed", "bf16-true"])
def test_values_of_a_batch_are_not_rounded(tiny_model, precision):
    """To the type of the weights: a log-probability of -8 would be off by 0.03."""
    exact, seen = -8.0123456, []

    class Probe(P2OModule):
        def training_step(self, batch, batch_index):
            seen.append(batch.streams["old_log_probs"])
            return super().training_step(batch, batch_index)

    samples = [sample.with_streams(old_log_probs=exact) for sample in made()]
    one_update(Probe(tiny_model, ClippedLoss(), torch.optim.SGD), together(samples), precision)
    assert (seen[0] == torch.tensor(exact)).all()


def test_inserted_tokens_have_no_part_in_the_gradient(tiny_model):
    """A tool's words in the middle of a completion are read; what is learned is around them."""
    prompt, chosen = (4, 7, 9), (True, True, False, False, True)
    completions = (11, 12, 13, 14, 15), (11, 12, 33, 34, 35)
    samples = [
        Sample.of(prompt, completion, chosen).with_streams(advantages=advantage)
        for completion, advantage in zip(completions, (1.5, -0.5), strict=True)
    ]
    module = P2OModule(tiny_model, ClippedLoss(), torch.optim.SGD)
    loss_of(module, together(samples, packer=TREES)).backward()
    found = {name: p.grad.clone() for name, p in tiny_model.named_parameters()}
    tiny_model.zero_grad()
    total = torch.tensor(0.0)
    for completion, advantage in zip(completions, (1.5, -0.5), strict=True):
        ids = torch.tensor([prompt + completion])
        log_probs = tiny_model(ids).logits[0, 2:-1].log_softmax(-1).gather(1, ids[0, 3:, None])
        total = total - advantage * log_probs[torch.tensor(chosen)].sum()
    (total / 6).backward()
    for name, parameter in tiny_model.named_parameters():
        torch.testing.assert_close(found[name], parameter.grad, atol=1e-6, rtol=1e-4)


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
    batch = together(made())
    idle = [None] * 2 * accumulate
    working = fitted(tiny_model, [batch] * 2 * accumulate, accumulate, scheduler=constant)
    rested = fitted(
        tiny_model,
        [batch] * accumulate + idle + [batch] * accumulate + idle,
        accumulate,
        scheduler=constant,
    )
    for name, value in working.state_dict().items():
        assert torch.equal(rested.state_dict()[name], value), name
    for module in (working, rested):
        assert module.trainer.global_step == 2
        scheduler: Any = module.lr_schedulers()
        assert scheduler.last_epoch == 2


@pytest.mark.parametrize("parts", [1, 3, 16])
@pytest.mark.parametrize("packer", [ROWS, Packer(ALWAYS, pass_tokens=20)], ids=repr)
def test_metrics_are_over_the_learned_tokens_of_the_whole_step(tiny_model, parts, packer):
    """However the step is split and packed, and though most micro-batches only fill up."""
    samples = [sample.with_streams(reference_log_probs=-5.0) for sample in made(6)]
    # One sample measures no divergence, one has a token that is not learned, and one was sampled
    # in another context than the one that is trained.
    samples[1] = without(samples[1], "reference_log_probs")
    samples[2] = samples[2].keep(torch.arange(samples[2].learned) > 0)
    samples = [
        sample if index == 3 else sample.with_streams(sampled_log_probs=-5.2 - 0.1 * index)
        for index, sample in enumerate(samples)
    ]
    module = P2OModule(copy.deepcopy(tiny_model), ClippedLoss(), torch.optim.SGD)
    values: dict[str, list[torch.Tensor]] = {}

    def note(name, value):
        values.setdefault(name, []).append(value.detach())

    for sample in samples:
        [(packed, _)] = ROWS.pack([sample])
        log_probs, entropy = module.policy(packed)
        note("entropy", entropy)
        old = sample.streams.get("old_log_probs", log_probs)
        note("approx_kl", old - log_probs)
        if "reference_log_probs" in sample.streams:
            difference = sample.streams["reference_log_probs"] - log_probs
            note("kl", difference.exp() - 1 - difference)
        if "sampled_log_probs" in sample.streams:
            ratio = old - sample.streams["sampled_log_probs"]
            note("engine_kl", ratio.exp() - 1 - ratio)
            note("ratio", ratio.exp())
    highest = torch.cat(values.pop("ratio")).max().item()
    tokens = sum(sample.learned for sample in samples)
    names = sorted({name for sample in samples for name in sample.streams})
    logged, whole = Logged(), Logged()
    batches = [
        together(samples[start::parts], tokens, len(samples), packer, names)
        for start in range(parts)
    ]
    fitted(tiny_model, batches, parts, [logged])
    [found] = logged.steps
    for name, of_tokens in values.items():
        assert found[name] == pytest.approx(torch.cat(of_tokens).mean().item(), rel=1e-4), name
    assert found["engine_ratio_max"] == pytest.approx(highest, rel=1e-4)
    fitted(tiny_model, [together(samples)], 1, [whole])
    assert found == pytest.approx(whole.steps[0], rel=1e-4)


def test_the_highest_ratio_is_that_of_each_step_alone(tiny_model):
    def sampled_at(log_prob):
        samples = [s.with_streams(sampled_log_probs=log_prob, old_log_probs=-5.0) for s in made()]
        return together(samples)

    logged = Logged()
    fitted(tiny_model, [sampled_at(value) for value in (-5.0, -7.0, -4.0, -4.5)], 2, [logged])
    found = [step["engine_ratio_max"] for step in logged.steps]
    assert found == pytest.approx([math.exp(2.0), math.exp(-0.5)])


def test_what_the_engine_said_otherwise_weighs_its_tokens(tiny_model):
    """The first sample was twice as probable to the trainer as to the engine; 1.5 is the limit."""
    samples = [without(sample, "token_weights") for sample in made(2)]
    samples = [sample.with_streams(old_log_probs=-5.0) for sample in samples]
    sampled = [
        sample.with_streams(sampled_log_probs=-5.0 + math.log(ratio))
        for sample, ratio in zip(samples, (0.5, 1.25), strict=True)
    ]
    weighted = [
        sample.with_streams(token_weights=weight)
        for sample, weight in zip(samples, (1.5, 0.8), strict=True)
    ]
    losses = [
        loss_of(
            P2OModule(tiny_model, ClippedLoss(), torch.optim.SGD, correction=correction),
            together(batch),
        ).item()
        for batch, correction in (
            (sampled, EngineCorrection(high=1.5)),
            (weighted, None),
            (sampled, None),
            (samples, EngineCorrection(high=1.5)),
            (samples, None),
        )
    ]
    assert losses[0] == pytest.approx(losses[1], rel=1e-5)
    assert losses[0] != pytest.approx(losses[2], rel=1e-2)
    assert losses[2] == losses[3] == losses[4]


def test_staleness_is_how_many_updates_have_passed_since_the_tokens_were_sampled(tiny_model):
    """Three updates on what was sampled before the first, half of the last one after the first."""
    drawn = made(4)
    old = [sample.with_streams(policy_version=0.0) for sample in drawn]
    mixed = [sample.with_streams(policy_version=float(i % 2)) for i, sample in enumerate(drawn)]
    logged = Logged()
    fitted(tiny_model, [together(part) for part in (old, old, mixed)], 1, [logged])
    tokens = [sample.learned for sample in drawn]
    share = sum(tokens[1::2]) / sum(tokens)
    assert [step["staleness"] for step in logged.steps] == pytest.approx([0.0, 1.0, 2.0 - share])


def test_guards_look_at_each_update_once_and_never_at_what_fills_up(tiny_model):
    near, far = (
        [sample.with_streams(reference_log_probs=-5.3 + value) for sample in made(2)]
        for value in (0.0, 9.0)
    )
    near, far = (
        [together(part, 20, 4) for part in (samples[:1], samples[1:])] for samples in (near, far)
    )
    empty = [together([], 20, 4, names=near[0].streams)] * 2

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


def test_a_pass_that_keeps_ranks_in_step_has_no_gradient_from_any_term(tiny_model):
    """Not from the policy loss, the divergence or the entropy."""
    module = P2OModule(
        tiny_model,
        ClippedLoss(),
        torch.optim.SGD,
        kl=KLPenalty(coefficient=0.5),
        entropy_coefficient=0.5,
    )
    samples = [s.with_streams(reference_log_probs=-1.0, sampled_log_probs=-5.0) for s in made()]
    names = sorted(samples[1].streams)
    loss = loss_of(module, together([], 10, 12, names=names))
    loss.backward()
    assert loss.item() == 0
    assert not any(p.grad.any() for p in module.parameters() if p.grad is not None)
    # Nor does it change what is beside it.
    gradients = []
    for extra in (0, 2):
        module.zero_grad()
        batch = together(samples)
        batch.passes += [nothing()] * extra
        loss_of(module, batch).backward()
        gradients.append([p.grad.clone() for p in module.parameters() if p.grad is not None])
    for alone, beside in zip(*gradients, strict=True):
        torch.testing.assert_close(beside, alone, atol=1e-6, rtol=1e-4)


def test_an_entropy_bonus_has_the_gradient_of_entropy(tiny_model):
    samples = [without(s, *s.streams).with_streams(advantages=0.0) for s in made(4)]
    module = P2OModule(tiny_model, ClippedLoss(), torch.optim.SGD, entropy_coefficient=0.3)
    loss_of(module, together(samples, packer=TREES)).backward()
    found = {name: p.grad.clone() for name, p in tiny_model.named_parameters()}
    tiny_model.zero_grad()
    total = torch.tensor(0.0)
    for sample in samples:
        logits = tiny_model(torch.tensor([sample.token_ids])).logits[0]
        logits = logits[-sample.learned - 1 : -1]
        total = total + torch.distributions.Categorical(logits=logits).entropy().sum()
    (-0.3 * total / sum(sample.learned for sample in samples)).backward()
    for name, parameter in tiny_model.named_parameters():
        torch.testing.assert_close(found[name], parameter.grad, atol=1e-6, rtol=1e-4)


def loss_of(module, batch):
    """The loss of one training step, outside of a fit."""
    module.log_dict = lambda *arguments, **keywords: None
    strategy = SimpleNamespace(backward=lambda loss, optimizer: loss.backward())
    module._trainer = SimpleNamespace(
        accumulate_grad_batches=1, world_size=1, global_step=0, strategy=strategy, optimizers=[]
    )
    return module.training_step(batch, 0)


def test_the_reference_policy_stays_where_training_began(tiny_model):
    module = P2OModule(tiny_model, ClippedLoss(), torch.optim.SGD)
    reference = InitialPolicy(module.policy)
    passes = [packed for packed, _ in Packer(ALWAYS, pass_tokens=10).pack(made(6))]
    before = module.score(passes)
    with torch.no_grad():
        for parameter in tiny_model.parameters():
            parameter.mul_(1.3)
    assert not torch.allclose(module.score(passes)[0], before[0])
    for found, wanted in zip(module.score(passes, reference), before, strict=True):
        torch.testing.assert_close(found, wanted)
    assert not any(parameter.requires_grad for parameter in reference.parameters())


def test_in_groups_without_contrast_the_policys_entropy_shapes_the_gradient(tiny_model):
    """As RL-ZVP has it; the same as with advantages that were computed beforehand."""
    samples = [without(sample, "token_weights") for sample in made(6)]
    marked, expected = [], []
    for index, sample in enumerate(samples):
        sign = (-1.0) ** index
        with torch.no_grad():
            logits = tiny_model(torch.tensor([sample.token_ids])).logits[0, :-1]
        chances = logits.log_softmax(-1)
        entropies = -(chances.exp() * chances).sum(-1)[sample.loss_mask[1:]]
        shaped = entropies if sign > 0 else -(entropies.max() - entropies)
        alike = index < 4
        marked.append(
            sample.with_streams(advantages=0.1 * sign, without_contrast=1.0 if alike else None)
        )
        expected.append(sample.with_streams(advantages=0.1 * shaped if alike else 0.1 * sign))
    found = step(tiny_model, [marked], "token-mean")
    wanted = step(tiny_model, [expected], "token-mean")
    plain = step(tiny_model, [[without(s, "without_contrast") for s in marked]], "token-mean")
    for name, value in wanted.items():
        torch.testing.assert_close(found[name], value, atol=1e-6, rtol=1e-4)
    assert any(not torch.allclose(found[name], plain[name], atol=1e-4) for name in found)
