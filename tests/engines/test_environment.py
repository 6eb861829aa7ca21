"""An environment of several turns on every engine: what is learned is what the policy chose."""

import copy

import pytest
import torch
from tokenizers import Tokenizer
from tokenizers.models import WordLevel
from tokenizers.pre_tokenizers import WhitespaceSplit
from transformers import PreTrainedTokenizerFast

from p2o.learning.samples import sample_of, sampled_log_probs
from p2o.policy.causal import CausalPolicy
from p2o.policy.packing import ALWAYS, Packer
from p2o.prompt import Context, Prompt
from p2o.rollout.engine import SamplingParameters
from p2o.rollout.rendering import ChatRenderer
from p2o.rollout.runner import RolloutRunner
from p2o.verifiers.base import Score, Status

pytestmark = pytest.mark.engines

SAID = (400, 401, 402)
"""What the tool says."""
TURN, TURNS, ALL = 5, 3, 24
"""Tokens of a turn, turns before the last one, and tokens that may be sampled in all."""


class Tool:
    """Says the same after each of the policy's turns, and lets it end."""

    async def run(self, problem, hint, sampler):
        for _ in range(TURNS):
            await sampler.sample(max_new_tokens=TURN)
            sampler.insert_ids(SAID)
        await sampler.sample()


class Indifferent:
    """A verifier to which everything is right."""

    def score(self, responses, prompts):
        return [Score(1.0, Status.OK) for _ in responses]


def renderer() -> ChatRenderer:
    words = Tokenizer(WordLevel({f"t{n}": n for n in range(512)}, unk_token="t0"))
    words.pre_tokenizer = WhitespaceSplit()
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=words, unk_token="t0", eos_token="t2")
    tokenizer.chat_template = "{% for message in messages %}t1 {{ message.content }} {% endfor %}"
    return ChatRenderer(tokenizer)


@pytest.fixture
def rollouts(subject):
    """Of three prompts, two each."""
    prompts = [
        Prompt.create([{"role": "user", "content": f"t{7 + n} t9 t11"}], "x") for n in range(3)
    ]
    runner = RolloutRunner(subject.engine, renderer(), Indifferent(), 32, Tool())
    sampling = SamplingParameters(temperature=1.0, max_new_tokens=ALL)
    return runner.run([(prompt, "") for prompt in prompts for _ in range(2)], sampling, seed=3)


def chosen(rollout) -> list[bool]:
    """By brute force: a turn of the policy's, then the tool's words, over and over."""
    ids, mask = rollout.completion.token_ids, []
    for _ in range(TURNS):
        rest = ids[len(mask) :]
        turn = next(n for n in range(1, TURN + 1) if rest[n : n + len(SAID)] == SAID)
        mask += [True] * turn + [False] * len(SAID)
    return mask + [True] * (len(ids) - len(mask))


def plain(policy, rollout) -> torch.Tensor:
    """Log-probabilities of the tokens that the policy chose, by one forward pass of the model."""
    ids = torch.tensor([*rollout.bare_ids, *rollout.completion.token_ids])
    log_probs = policy(ids[None]).logits[0].log_softmax(-1)
    start = len(rollout.bare_ids)
    places = [start + n for n, own in enumerate(chosen(rollout)) if own]
    return torch.stack([log_probs[place - 1, ids[place]] for place in places])


def test_the_tool_s_tokens_are_there_and_are_not_learned(rollouts):
    for rollout in rollouts:
        assert rollout.completion.loss_mask == tuple(chosen(rollout))
        assert rollout.completion.token_ids.count(SAID[0]) >= TURNS
        assert len(rollout.completion.sampled_ids) <= ALL
        sample = sample_of(rollout, Context.BARE)
        assert sample.learned == sum(chosen(rollout))
        assert not sample.loss_mask[: len(rollout.bare_ids)].any()


def test_the_engine_s_log_probabilities_are_those_of_a_plain_forward_pass(subject, rollouts):
    with torch.no_grad():
        for rollout in rollouts:
            expected = plain(subject.policy, rollout)
            torch.testing.assert_close(sampled_log_probs(rollout), expected, atol=1e-3, rtol=0)


def test_the_gradient_is_that_of_the_tokens_that_the_policy_chose(subject, rollouts):
    samples = [sample_of(rollout, Context.BARE) for rollout in rollouts]
    reference = copy.deepcopy(subject.policy)
    torch.cat([plain(reference, rollout) for rollout in rollouts]).sum().backward()
    for packer in (Packer(), Packer(ALWAYS)):
        policy = CausalPolicy(copy.deepcopy(subject.policy), 1.0)
        passes = packer.pack(samples)
        torch.cat([policy(packed)[0] for packed, _ in passes]).sum().backward()
        trained = dict(policy.model.named_parameters())
        for name, parameter in reference.named_parameters():
            torch.testing.assert_close(trained[name].grad, parameter.grad, atol=1e-4, rtol=1e-4)
