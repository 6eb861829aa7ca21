from itertools import product
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from omegaconf import OmegaConf
from trl.experimental.sdpo.loss_utils import compute_sampled_token_self_distillation_loss
from trl.experimental.sdpo.sdpo_config import SDPOConfig
from trl.experimental.sdpo.sdpo_trainer import SuccessfulRolloutTeacherContextBuilder

from p2o.configuration.build import conf_directory
from p2o.distillation import ReverseKL, Told
from p2o.errors import UserError
from p2o.objectives import ClippedLoss

SIBLING: Any = OmegaConf.load(conf_directory() / "distillation" / "sibling_context.yaml")
TEXT = SIBLING["told"]["text"]


def told_by_trl(rewards: list[float]) -> list[str | None]:
    """What TRL's SDPO trainer asks its teacher of each response of one group; None where masked."""
    asked: list[Any] = []

    def tokenise(prompts):
        asked.extend(prompts)
        return [[1]] * len(prompts)

    defaults = {field.name: field.default for field in SDPOConfig.__dataclass_fields__.values()}
    trainer = SimpleNamespace(
        args=SimpleNamespace(**defaults),
        accelerator=SimpleNamespace(
            device="cpu",
            process_index=0,
            gather=lambda values: values,
            pad_across_processes=lambda values, **_: values,
        ),
        model=SimpleNamespace(training=True),
        num_generations=len(rewards),
        _tokenizer=SimpleNamespace(pad_token_id=0),
        _tokenize_prompts_untruncated=tokenise,
        processing_class=SimpleNamespace(decode=lambda ids, **_: f"answer {int(ids[0])}"),
    )
    ids = torch.arange(1, len(rewards) + 1)[:, None]
    mask = SuccessfulRolloutTeacherContextBuilder(trainer).build(
        {"completion_ids": ids, "completion_mask": torch.ones_like(ids)},
        ["2 + 2?"] * len(rewards),
        torch.tensor(rewards),
    )["self_distillation_mask"]
    return [text if graded else None for text, graded in zip(asked, mask.tolist(), strict=True)]


@pytest.mark.parametrize("solved", list(product((False, True), repeat=4)))
def test_responses_are_told_what_trl_tells_its_teacher(solved):
    responses = [f"answer {number}" for number in range(1, 5)]
    texts = Told(TEXT).texts("2 + 2?", "4", responses, solved)
    assert texts == told_by_trl([float(right) for right in solved])


def test_the_gradient_is_that_of_trl_on_sampled_tokens():
    generator = torch.Generator().manual_seed(0)
    student, teacher = torch.randn(2, 5, 7, dtype=torch.float64, generator=generator)
    tokens = torch.randint(7, (5,), generator=generator)
    student.requires_grad_()
    theirs = compute_sampled_token_self_distillation_loss(
        student[None], teacher[None], tokens[None], distillation_alpha=1.0
    )
    [wanted] = torch.autograd.grad(theirs.mean(), student)
    log_probs, graded = (
        logits.log_softmax(-1).gather(-1, tokens[:, None])[:, 0] for logits in (student, teacher)
    )
    advantages = ReverseKL(limit=50.0, told=Told(TEXT)).token_advantages(
        -0.7, False, log_probs.detach(), graded
    )
    loss, _ = ClippedLoss()(
        log_probs,
        log_probs.detach(),
        advantages,
        torch.ones(5, dtype=torch.float64),
        torch.zeros(5, dtype=torch.long),
        total_tokens=5,
        total_sequences=1,
    )
    [found] = torch.autograd.grad(loss, student)
    torch.testing.assert_close(found, wanted)


def test_what_is_filled_in_is_not_read_as_a_place():
    told = Told("{question} {solution} {gold} {other}")
    texts = told.texts("Write {gold}.", "{question}", ["a {solution}", "wrong"], [True, None])
    assert texts == [None, "Write {gold}. a {solution} {question} {other}"]


def test_the_right_answer_can_be_told_of_every_response():
    told = Told("{question} It is {gold}.")
    assert told.texts("2 + 2?", "4", ["5", "6"], [False, None]) == ["2 + 2? It is 4."] * 2


@pytest.mark.parametrize("text", ["{solution}", "{question}", "Solve it."])
def test_a_text_without_the_question_or_without_a_secret_is_refused(text):
    with pytest.raises(UserError, match=r"^text="):
        Told(text)


def test_a_response_of_which_nothing_can_be_told_is_trained_on_where_nothing_ever_is():
    assert ReverseKL().rewards_alone
    assert not ReverseKL(told=Told(TEXT)).rewards_alone
