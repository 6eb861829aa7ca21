"""The divergence over the most probable tokens, from its formula to the gradient of the network."""

import pytest
import torch
from trl.experimental.sdpo.loss_utils import compute_topk_self_distillation_loss

from p2o.accounting.ledger import Ledger
from p2o.distillation import Told, TopKReverseKL
from p2o.distillation.top_k import choice_advantages
from p2o.learning.baseline import GroupMean
from p2o.learning.credit import CreditAssignment
from p2o.learning.experience import ExperienceBuilder
from p2o.learning.sizes import BatchSizes
from p2o.learning.telling import Telling
from p2o.objectives import ClippedLoss, KLPenalty, Overlong, group_advantages
from p2o.policy.causal import CausalPolicy
from p2o.policy.models import load_policy
from p2o.policy.packing import ALWAYS, Packer
from p2o.prompt import Context, Prompt
from p2o.rollout.engine import Completion
from p2o.rollout.rendering import ChatRenderer
from p2o.rollout.runner import Rollout
from p2o.sample import Sample
from p2o.verifiers.base import Score, Status


def logits(seed: int, places: int = 5, vocabulary: int = 7) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(places, vocabulary, dtype=torch.float64, generator=generator)


@pytest.mark.parametrize("choices", [1, 3, 6])
def test_the_gradient_is_that_of_trl_with_a_tail(choices):
    student, teacher = logits(0).requires_grad_(), logits(1)
    theirs = compute_topk_self_distillation_loss(
        student,
        teacher,
        distillation_topk=choices,
        distillation_alpha=1.0,
        distillation_add_tail=True,
    )
    [wanted] = torch.autograd.grad(theirs.sum(), student)
    log_probs, tokens = student.log_softmax(-1).topk(choices)
    graded = teacher.log_softmax(-1).gather(-1, tokens)
    advantages = choice_advantages(log_probs.detach(), graded, 50.0)
    [found] = torch.autograd.grad(-(advantages * log_probs).sum(), student)
    torch.testing.assert_close(found, wanted)


def test_over_all_tokens_it_is_the_exact_gradient_of_the_divergence():
    student, teacher = logits(0).requires_grad_(), logits(1)
    divergence = torch.nn.functional.kl_div(
        teacher.log_softmax(-1), student.log_softmax(-1), log_target=True, reduction="sum"
    )
    [wanted] = torch.autograd.grad(divergence, student)
    log_probs = student.log_softmax(-1)
    strategy = TopKReverseKL(coefficient=2.0, limit=50.0, choices=7)
    advantages = strategy.token_advantages(0.3, False, log_probs.detach(), teacher.log_softmax(-1))
    [found] = torch.autograd.grad(-(advantages * log_probs).sum(), student)
    torch.testing.assert_close(found, 2.0 * wanted)


SAMPLES = [
    Sample.of([5, 6, 7], [8, 9, 10]),
    Sample.of([5, 6, 7], [8, 4]),
    Sample.of([5, 6], [3, 3, 3], [True, False, True]),
]
CHOICES = [torch.tensor([[1, 2], [3, 4], [5, 6]]), None, torch.tensor([[7, 8], [9, 1]])]


@pytest.mark.parametrize("chunk", [2, 100])
@pytest.mark.parametrize("packer", [Packer(), Packer(ALWAYS)], ids=repr)
def test_choices_have_the_log_probabilities_of_their_place(tiny_model, chunk, packer):
    policy = CausalPolicy(tiny_model, 0.7, chunk)
    samples = [
        Sample(sample.token_ids, sample.loss_mask, choices=choices)
        for sample, choices in zip(SAMPLES, CHOICES, strict=True)
    ]
    found: dict[int, torch.Tensor] = {}
    loss = torch.zeros(())
    for packed, indices in packer.pack(samples):
        log_probs, entropies = policy(packed)
        assert len(log_probs) == len(entropies) == len(packed.targets)
        loss = loss + log_probs.sum()
        parts = log_probs.split([samples[index].learned for index in indices])
        found |= dict(zip(indices, parts, strict=True))
    gradient = torch.autograd.grad(loss, tiny_model.lm_head.weight)[0]
    expected = torch.zeros(())
    for index, sample in enumerate(samples):
        ids = torch.tensor(sample.token_ids)
        whole = (tiny_model(ids[None]).logits[0] / 0.7).log_softmax(-1)
        places = sample.loss_mask.nonzero()[:, 0]
        tokens = ids[places][:, None] if sample.choices is None else sample.choices
        wanted = whole[places - 1].gather(-1, tokens).flatten()
        torch.testing.assert_close(found[index], wanted, atol=1e-5, rtol=1e-4)
        expected = expected + wanted.sum()
    [direct] = torch.autograd.grad(expected, tiny_model.lm_head.weight)
    torch.testing.assert_close(gradient, direct, atol=1e-4, rtol=1e-3)


def test_the_network_learns_the_divergence_from_the_policy_that_is_told():
    """From rollouts to gradient, against autograd on whole distributions, a choice being any."""
    model, tokenizer = load_policy("embedded:digits")
    renderer, policy = ChatRenderer(tokenizer), CausalPolicy(model, 1.0)
    prompt = Prompt.create([{"role": "user", "content": "Add the digits: 3 4 5 1"}], "13")
    bare = tuple(renderer.render(prompt.messages))
    group = []
    for index, right in enumerate((False, True, False)):
        text = f"Let us go slowly. {index} Answer: {index}"
        ids = tuple(tokenizer(text, add_special_tokens=False)["input_ids"])
        completion = Completion(ids, "stop", (-1.0,) * len(ids))
        verdict = Score(float(right), Status.OK)
        group.append(Rollout(prompt, "", bare, bare, Context.BARE, completion, text, verdict))
    told = Told("{solution} {question}")

    @torch.no_grad()
    def score(passes, *most):
        return [policy(packed, *most) for packed in passes]

    builder = ExperienceBuilder(
        BatchSizes(3, 1, 1),
        CreditAssignment(group_advantages, GroupMean(), Overlong(30), False),
        TopKReverseKL(limit=1e3, told=told, choices=len(tokenizer)),
        lambda: Packer(ALWAYS),
        lambda passes: [log_probs for log_probs, _ in score(passes)],
        None,
        KLPenalty(),
        False,
        Ledger(),
        tell=Telling(told, renderer, None),
        score_most=score,
    )
    [batch] = builder.build([group]).micro_batches
    assert batch is not None
    weight = model.lm_head.weight if model.lm_head.weight.requires_grad else None
    assert weight is not None
    log_probs = torch.cat([policy(packed)[0] for packed in batch.passes])
    loss, _ = ClippedLoss(dual_clip=None)(
        log_probs,
        batch.streams["old_log_probs"],
        batch.streams["advantages"],
        torch.ones_like(log_probs),
        batch.sequences,
        batch.total_tokens,
        batch.total_sequences,
    )
    [found] = torch.autograd.grad(loss, weight)
    context = tuple(
        renderer.render([{"role": "user", "content": f"{group[1].response} {prompt.question}"}])
    )
    divergence = torch.zeros(())
    for rollout in (group[0], group[2]):
        ids = rollout.completion.token_ids
        own, other = (
            model(torch.tensor([[*before, *ids]])).logits[0, len(before) - 1 : -1].log_softmax(-1)
            for before in (bare, context)
        )
        divergence = divergence + (own.exp() * (own - other.detach())).sum()
    tokens = sum(len(rollout.completion.token_ids) for rollout in group)
    [wanted] = torch.autograd.grad(divergence / tokens, weight)
    torch.testing.assert_close(found, wanted, atol=2e-4, rtol=2e-2)
