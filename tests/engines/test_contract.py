"""What every rollout engine keeps to."""

from dataclasses import replace

import pytest
import torch

from p2o.errors import UserError
from p2o.rollout.engine import SamplingParameters

pytestmark = pytest.mark.engines

PROMPTS = [[1, 7, 9], [1, 11, 12, 13, 14, 5], [1, 20], [1, *range(30, 50)]]
ENDS, LENGTH = (2, 3), 96
GREEDY = SamplingParameters(temperature=0.0, max_new_tokens=12)
SAMPLED = SamplingParameters(temperature=1.0, max_new_tokens=12)


def reference(policy, prompt, sampling):
    """Greedy tokens and their log-probabilities, one forward pass a token."""
    ids = list(prompt)
    while len(ids) < len(prompt) + sampling.max_new_tokens:
        ids.append(int(policy(torch.tensor([ids])).logits[0, -1].argmax()))
        if ids[-1] in ENDS:
            break
    return tuple(ids[len(prompt) :])


def test_greedy_tokens_are_the_policy_s_own(subject):
    completions = subject.engine.generate(PROMPTS, GREEDY, [0] * 4)
    expected = [reference(subject.policy, prompt, GREEDY) for prompt in PROMPTS]
    assert [c.token_ids for c in completions] == expected
    assert all(log_prob == 0 for c in completions for log_prob in c.log_probs)


def test_an_end_token_stops_and_is_part_of_the_completion(subject):
    sampling = SamplingParameters(max_new_tokens=24)
    with torch.no_grad():
        # An end token's logit grows with the length of its embedding.
        subject.policy.model.embed_tokens.weight[list(ENDS)] *= 2
    subject.follow()
    completions = subject.engine.generate([[1, 7]] * 200, sampling, range(200))
    stopped = [c for c in completions if c.finish_reason == "stop"]
    assert stopped
    assert {c.token_ids[-1] for c in stopped} <= set(ENDS)
    for completion in completions:
        assert not set(completion.token_ids[:-1]) & set(ENDS)
        if completion.finish_reason == "length":
            assert len(completion.token_ids) == 24
            assert completion.token_ids[-1] not in ENDS


def test_a_stop_token_stops_and_is_part_of_the_completion(subject):
    whole = subject.engine.generate(PROMPTS, SAMPLED, range(4))
    stops = tuple({completion.token_ids[0] for completion in whole[:2]} - set(ENDS))
    stopped = replace(SAMPLED, stop_token_ids=stops)
    for one, other in zip(subject.engine.generate(PROMPTS, stopped, range(4)), whole, strict=True):
        ended = [n for n, token in enumerate(other.token_ids, 1) if token in stops]
        length = ended[0] if ended else len(other.token_ids)
        assert one.token_ids == other.token_ids[:length]
        assert one.finish_reason == ("stop" if ended else other.finish_reason)


@pytest.mark.parametrize("limit", [1, 2, 7])
def test_no_completion_is_longer_than_allowed(subject, limit):
    sampling = SamplingParameters(max_new_tokens=limit)
    for completion in subject.engine.generate(PROMPTS, sampling, range(4)):
        assert 1 <= len(completion.token_ids) <= limit
        assert len(completion.log_probs) == len(completion.token_ids)


def test_a_smaller_limit_gives_the_beginning_of_what_a_larger_one_does(subject):
    """So that turns with different limits can share a call."""
    whole = subject.engine.generate(PROMPTS, SAMPLED, range(4))
    for limit in (1, 5, 11):
        sampling = SamplingParameters(temperature=1.0, max_new_tokens=limit)
        for completion, longer in zip(
            subject.engine.generate(PROMPTS, sampling, range(4)), whole, strict=True
        ):
            assert completion.token_ids == longer.token_ids[:limit]


def test_a_stop_token_ends_a_completion_as_an_end_token_does(subject):
    whole = subject.engine.generate(PROMPTS, SAMPLED, range(4))
    stops = tuple({c.token_ids[3] for c in whole})
    sampling = SamplingParameters(temperature=1.0, max_new_tokens=12, stop_token_ids=stops)
    for completion, longer in zip(
        subject.engine.generate(PROMPTS, sampling, range(4)), whole, strict=True
    ):
        length = 1 + min(i for i, token in enumerate(longer.token_ids) if token in stops)
        assert completion.token_ids == longer.token_ids[:length]
        assert completion.finish_reason == "stop"


def test_seeds_make_samples_differ_and_repeat(subject):
    engine = subject.engine
    first = engine.generate([PROMPTS[1]] * 16, SAMPLED, range(16))
    again = engine.generate([PROMPTS[1]] * 16, SAMPLED, range(16))
    assert [c.token_ids for c in first] == [c.token_ids for c in again]
    assert len({c.token_ids for c in first}) > 12


@pytest.mark.parametrize("temperature", [0.6, 1.0, 1.5])
def test_log_probs_are_the_policy_s_at_the_sampling_temperature(subject, temperature):
    sampling = SamplingParameters(temperature=temperature, max_new_tokens=8)
    completions = subject.engine.generate(PROMPTS, sampling, range(4))
    for prompt, completion in zip(PROMPTS, completions, strict=True):
        ids = torch.tensor([[*prompt, *completion.token_ids]])
        logits = subject.policy(ids).logits[0, len(prompt) - 1 : -1] / temperature
        expected = logits.log_softmax(-1).gather(1, ids[0, len(prompt) :, None])[:, 0]
        torch.testing.assert_close(torch.tensor(completion.log_probs), expected, atol=2e-3, rtol=0)


@pytest.mark.parametrize(
    "sampling",
    [
        SamplingParameters(top_k=1, max_new_tokens=6),
        SamplingParameters(top_p=1e-6, max_new_tokens=6),
        SamplingParameters(temperature=1e-4, max_new_tokens=6),
    ],
)
def test_narrow_sampling_is_greedy(subject, sampling):
    completions = subject.engine.generate(PROMPTS, sampling, range(4))
    expected = [reference(subject.policy, prompt, sampling) for prompt in PROMPTS]
    assert [c.token_ids for c in completions] == expected


def test_no_prompts_give_no_completions(subject):
    assert subject.engine.generate([], SAMPLED, []) == []


def test_a_prompt_that_leaves_no_room_is_refused(subject):
    with pytest.raises(UserError, match=f"a prompt of {LENGTH - 5} tokens .* do not fit"):
        subject.engine.generate([[1] * (LENGTH - 5)], SAMPLED, [0])


def test_new_weights_are_followed(subject):
    engine = subject.engine
    before = engine.generate(PROMPTS, GREEDY, [0] * 4)
    subject.policy.load_state_dict(subject.other.state_dict())
    subject.follow()
    after = engine.generate(PROMPTS, GREEDY, [0] * 4)
    assert [c.token_ids for c in after] == [reference(subject.policy, p, GREEDY) for p in PROMPTS]
    assert before != after


def test_a_frozen_copy_stays_what_it_was(subject):
    engine = subject.engine
    frozen = engine.frozen_copy()
    before = engine.generate(PROMPTS, GREEDY, [0] * 4)
    subject.policy.load_state_dict(subject.other.state_dict())
    subject.follow()
    for _ in range(2):
        assert frozen.generate(PROMPTS, GREEDY, [0] * 4) == before
        assert engine.generate(PROMPTS, GREEDY, [0] * 4) != before


def test_releasing_loses_nothing(subject):
    engine = subject.engine
    before = engine.generate(PROMPTS, GREEDY, [0] * 4)
    engine.release()
    engine.release()
    assert engine.generate(PROMPTS, GREEDY, [0] * 4) == before
