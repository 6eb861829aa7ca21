"""A hint in tokens: what the policy reads, what the verifier reads, what counts."""

from dataclasses import replace

import pytest
import torch

from p2o.accounting.ledger import Ledger, MeteredEngine, MeteredEnvironment
from p2o.errors import UserError
from p2o.learning.samples import Scorer, sample_of, sampled_log_probs
from p2o.learning.trials import trial_of
from p2o.policy.causal import CausalPolicy
from p2o.prompt import Context, Prompt
from p2o.rollout.engine import SamplingParameters
from p2o.rollout.environment import SingleTurn
from p2o.rollout.hf import HFEngine
from p2o.rollout.rendering import ChatRenderer
from p2o.rollout.runner import RolloutRunner
from p2o.verifiers import Numeric
from p2o_callbacks import Hint
from p2o_callbacks.hint import as_hint

SAMPLING = SamplingParameters(temperature=1.0, max_new_tokens=12)
QUESTION = "Add the digits: 3 4 5 6 7"
PROMPT = Prompt.create(
    [{"role": "user", "content": QUESTION}], "25", solution="Let us go slowly. 3 7 12 18"
)
TURNS = (("Add the digits: 1 2", "Answer: 3"), ("Add the digits: 2 2", "Answer: 4"))
HINTS = {
    "text": "Go from left to right.",
    "share": Hint("{solution:50%}", columns=True),
    "turns": Hint("", turns=TURNS),
    "prefix": Hint("", prefix="{solution:50%}", columns=True),
    "everything": Hint("Go from left to right.", turns=TURNS, prefix="Let us go slowly."),
}


@pytest.fixture
def run(embedded, tokenizer):
    """Roll out hints; returns the rollouts, the ledger and the renderer."""

    def make(hints, context=Context.TEMPLATED, budget=120, sampling=SAMPLING, **renderer):
        ledger, written = Ledger(), ChatRenderer(tokenizer, **renderer)
        runner = RolloutRunner(
            MeteredEngine(HFEngine(embedded), ledger),
            written,
            Numeric(),
            budget,
            MeteredEnvironment(SingleTurn(), ledger),
        )
        with ledger.phase("train"):
            rollouts = runner.run([(PROMPT, hint) for hint in hints], sampling, 3, context)
        return rollouts, ledger.state_dict()["train"], written, runner

    return make


def read(renderer, ids):
    return renderer.tokenizer.decode(list(ids))


@pytest.mark.parametrize(
    ("name", "asked"),
    [
        ("text", f"<user> Go from left to right. {QUESTION} <assistant>"),
        ("share", f"<user> Let us go slowly. {QUESTION} <assistant>"),
        (
            "turns",
            "<user> Add the digits: 1 2 <assistant> Answer: 3 "
            f"<user> Add the digits: 2 2 <assistant> Answer: 4 <user> {QUESTION} <assistant>",
        ),
        ("prefix", f"<user> {QUESTION} <assistant>"),
    ],
)
def test_what_the_policy_reads_before_its_answer(run, name, asked):
    [rollout], _, renderer, _ = run([HINTS[name]])
    assert read(renderer, rollout.templated_ids) == asked
    assert read(renderer, rollout.bare_ids) == f"<user> {QUESTION} <assistant>"
    assert rollout.templated


def test_demonstrations_are_asked_as_the_question_is_and_stand_behind_the_system(run):
    [rollout], _, renderer, _ = run(
        [Hint("Imagine a long rope.", turns=TURNS[:1])],
        system_prompt="Go",
        prefix="Mind ",
        suffix=" ones.",
    )
    assert read(renderer, rollout.templated_ids) == (
        "<system> Go <user> Mind Add the digits: 1 2 ones. <assistant> Answer: 3 "
        f"<user> Imagine a long rope. Mind {QUESTION} ones. <assistant>"
    )


def test_a_system_message_of_the_conversation_stays_in_front(tokenizer):
    messages = [{"role": "system", "content": "Go"}, {"role": "user", "content": "Add"}]
    ids = ChatRenderer(tokenizer).render(messages, turns=[("Mind", "Let")])
    assert read(ChatRenderer(tokenizer), ids) == (
        "<system> Go <user> Mind <assistant> Let <user> Add <assistant>"
    )


def test_a_forced_beginning_is_read_by_the_verifier_and_not_chosen_by_the_policy(run):
    [rollout], spent, _, _ = run([HINTS["prefix"]])
    completion = rollout.completion
    assert rollout.response.startswith("Let us go slowly.")
    mask = completion.loss_mask
    assert mask[:4] == (False,) * 4
    assert all(mask[4:])
    assert rollout.templated_ids == rollout.bare_ids
    # Tokens are counted as they are sampled.
    assert spent["generated_tokens"] == len(completion.sampled_ids) == len(mask) - 4
    assert spent["rollouts"] == 1


def test_a_forced_beginning_that_holds_the_answer_is_solved_without_a_word(run):
    hint = Hint("", prefix="Answer: 25")
    [forced] = run([hint], sampling=replace(SAMPLING, max_new_tokens=1, temperature=0.0))[0]
    assert forced.score.solved
    assert forced.response.startswith("Answer: 25")


def test_a_forced_beginning_does_not_use_up_what_may_be_sampled(run):
    rollouts, *_ = run([HINTS["prefix"]] * 20, sampling=replace(SAMPLING, max_new_tokens=3))
    assert {len(rollout.completion.sampled_ids) for rollout in rollouts} <= {1, 2, 3}
    assert max(len(rollout.completion.sampled_ids) for rollout in rollouts) == 3


def test_a_forced_beginning_that_is_learned_is_trained_on_like_what_was_sampled(run):
    hint = replace(HINTS["prefix"], learned=True)
    rollouts, spent, renderer, _ = run([hint] * 5, sampling=replace(SAMPLING, max_new_tokens=3))
    for rollout in rollouts:
        completion, sample = rollout.completion, sample_of(rollout, Context.BARE)
        assert completion.loss_mask is None
        assert sample.learned == len(completion.token_ids) == len(completion.sampled_ids)
        assert read(renderer, completion.token_ids[:4]) == "Let us go slowly."
        # Nobody knows what the engine would have given tokens that it has not drawn.
        unknown = sampled_log_probs(rollout).isnan()
        assert unknown[:4].all()
        assert not unknown[4:].any()
    # Only what is drawn is counted, and only that is limited.
    drawn = [len(rollout.completion.token_ids) - 4 for rollout in rollouts]
    assert spent["generated_tokens"] == sum(drawn)
    assert max(drawn) == 3


@pytest.mark.parametrize("name", HINTS)
def test_a_trained_sample_has_the_log_probabilities_of_a_plain_forward_pass(run, embedded, name):
    rollouts, *_ = run([HINTS[name]] * 3)
    policy = CausalPolicy(embedded, 1.0)
    pairs = [(r, context) for r in rollouts for context in Context]
    scored = Scorer(
        lambda: policy.packer(pass_tokens=512),
        lambda passes: [policy(packed)[0] for packed in passes],
        Ledger(),
    )(pairs)
    for (rollout, context), values in zip(pairs, scored, strict=True):
        sample = sample_of(rollout, context)
        ids = torch.tensor([sample.token_ids])
        with torch.no_grad():
            logits = embedded(ids).logits[0, :-1].log_softmax(-1)
        everything = logits.gather(-1, ids[0, 1:, None])[:, 0]
        plain = everything[sample.loss_mask[1:]]
        torch.testing.assert_close(values.detach(), plain, atol=1e-4, rtol=1e-4)
        assert len(values) == len(rollout.completion.sampled_ids)
        if context == Context.TEMPLATED:
            torch.testing.assert_close(plain, sampled_log_probs(rollout), atol=1e-3, rtol=1e-3)


def test_a_hint_without_room_is_left_out_and_counted(run):
    bare = len(run([""])[0][0].bare_ids)
    for name in ("turns", "prefix", "everything"):
        [rollout], _, _, runner = run([HINTS[name]], budget=bare + 3)
        assert (rollout.hint, rollout.templated) == ("", False)
        assert rollout.templated_ids == rollout.bare_ids
        assert runner.overflows == 1
        assert rollout.crowded == as_hint(HINTS[name]).label
        assert "too long" in trial_of(rollout).feedback
    # The beginning of the answer counts in, and just fits.
    [rollout], _, _, runner = run([HINTS["prefix"]], budget=bare + 4)
    assert rollout.templated
    assert rollout.crowded == ""
    assert runner.overflows == 0


def test_a_problem_is_not_its_own_demonstration_which_is_no_want_of_room(run):
    """One solved problem so far: its own rollouts are bare, and count for what they are."""
    [rollout], _, _, runner = run([Hint("", turns=((QUESTION, "Answer: 25"),))])
    assert (rollout.hint, rollout.crowded, runner.overflows) == ("", "", 0)
    trial = trial_of(rollout)
    assert (trial.score, trial.solved) == (rollout.score.reward, rollout.score.solved)
    assert "too long" not in trial.feedback


def test_without_its_hint_a_rollout_begins_its_own_answer(run):
    [rollout], *_ = run([HINTS["prefix"]], Context.BARE)
    assert rollout.completion.loss_mask is None
    assert not rollout.templated


def test_a_missing_column_is_named(run):
    with pytest.raises(UserError, match="no column 'plan'"):
        run([Hint("{plan}", columns=True)])


def test_a_hint_of_text_alone_is_that_text(run):
    texts, hints = (
        run(given)[0] for given in (["Mind the odd ones."], [Hint("Mind the odd ones.")])
    )
    assert texts == hints
