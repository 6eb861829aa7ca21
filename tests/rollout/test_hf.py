from dataclasses import replace

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from p2o.errors import UserError
from p2o.policy.adapters import add_lora
from p2o.rollout.engine import SamplingParameters
from p2o.rollout.hf import HFEngine
from tests.families import make_model

PROMPTS = [[4, 7, 9], [4, 11, 12, 13, 14, 5], [4, 20], [4, 30, 31, 32, 33, 34, 35, 36, 5]]
SAMPLING = SamplingParameters(temperature=0.7, max_new_tokens=8)


def test_what_a_prompt_gets_does_not_depend_on_its_neighbours(tiny_model):
    seeds = [3, 1, 4, 1]
    together = HFEngine(tiny_model).generate(PROMPTS, SAMPLING, seeds)
    by_two = HFEngine(tiny_model, max_batch_size=2).generate(PROMPTS, SAMPLING, seeds)
    backwards = HFEngine(tiny_model).generate(PROMPTS[::-1], SAMPLING, seeds[::-1])[::-1]
    for other in (by_two, backwards):
        assert [c.token_ids for c in other] == [c.token_ids for c in together]


def test_seeds_make_samples_differ_and_repeat(tiny_model):
    engine = HFEngine(tiny_model)
    first = engine.generate([PROMPTS[1]] * 16, SAMPLING, range(16))
    again = engine.generate([PROMPTS[1]] * 16, SAMPLING, range(16))
    assert first == again
    assert len({completion.token_ids for completion in first}) > 8


def test_global_random_state_is_left_alone(tiny_model):
    torch.manual_seed(5)
    before = torch.get_rng_state()
    HFEngine(tiny_model).generate(PROMPTS, SAMPLING, range(4))
    assert torch.equal(before, torch.get_rng_state())


@pytest.mark.parametrize("temperature", [0.5, 1.0, 1.7])
def test_log_probs_are_those_of_the_distribution_sampled_from(tiny_model, temperature):
    sampling = SamplingParameters(temperature=temperature, max_new_tokens=6)
    for prompt, completion in zip(
        PROMPTS, HFEngine(tiny_model).generate(PROMPTS, sampling, range(4)), strict=True
    ):
        ids = torch.tensor([prompt + list(completion.token_ids)])
        logits = tiny_model(ids).logits[0, len(prompt) - 1 : -1] / temperature
        expected = logits.log_softmax(-1).gather(1, ids[0, len(prompt) :, None])[:, 0]
        torch.testing.assert_close(torch.tensor(completion.log_probs), expected, atol=1e-4, rtol=0)


def test_sampling_frequencies_follow_the_model(tiny_model):
    """The first token of 3,000 samples against the model's own probabilities (chi-square)."""
    for parameter in tiny_model.parameters():
        parameter.data.mul_(4)
    prompt, count = [4, 40, 5], 3000
    sampling = SamplingParameters(max_new_tokens=1)
    completions = HFEngine(tiny_model, 3000).generate([prompt] * count, sampling, range(count))
    counts = torch.bincount(torch.tensor([c.token_ids[0] for c in completions]), minlength=221)
    expected = tiny_model(torch.tensor([prompt])).logits[0, -1].softmax(-1).detach() * count
    kept = expected >= 5
    observed = torch.cat([counts[: len(kept)][kept], counts[: len(kept)][~kept].sum()[None]])
    wanted = torch.cat([expected[kept], expected[~kept].sum()[None]])
    statistic = ((observed - wanted) ** 2 / wanted).sum().item()
    degrees = len(wanted) - 1
    assert statistic < degrees + 4 * (2 * degrees) ** 0.5


def test_greedy_is_the_most_probable_token(tiny_model):
    sampling = SamplingParameters(temperature=0, max_new_tokens=5)
    [completion] = HFEngine(tiny_model).generate([PROMPTS[1]], sampling, [0])
    ids = list(PROMPTS[1])
    for token in completion.token_ids:
        assert token == tiny_model(torch.tensor([ids])).logits[0, -1].argmax().item()
        ids.append(token)


def test_top_k_and_top_p_keep_only_the_head_of_the_distribution(tiny_model):
    order = tiny_model(torch.tensor([PROMPTS[0]])).logits[0, -1].argsort(descending=True).tolist()
    for sampling in (
        SamplingParameters(top_k=3, max_new_tokens=1),
        SamplingParameters(top_p=1e-6, max_new_tokens=1),
    ):
        completions = HFEngine(tiny_model).generate([PROMPTS[0]] * 50, sampling, range(50))
        kept = 3 if sampling.top_k else 1
        assert {c.token_ids[0] for c in completions} <= set(order[:kept])


def test_any_of_several_end_tokens_ends_a_completion(tiny_model):
    tiny_model.generation_config.eos_token_id = [1, 50, 51, 52, 53, 54, 55, 56, 57, 58]
    engine = HFEngine(tiny_model)
    sampling = SamplingParameters(temperature=3.0, max_new_tokens=100)
    completions = engine.generate([PROMPTS[0]] * 40, sampling, range(40))
    ended = [c for c in completions if c.finish_reason == "stop"]
    assert len({c.token_ids[-1] for c in ended}) > 2
    for completion in ended:
        assert completion.token_ids[-1] in engine.end_ids
        assert not set(completion.token_ids[:-1]) & set(engine.end_ids)
    for completion in completions:
        assert len(completion.log_probs) == len(completion.token_ids)
        assert (completion.finish_reason == "length") == (
            completion.token_ids[-1] not in engine.end_ids
        )


@pytest.mark.parametrize("kind", ["tiny", "mamba"])
def test_a_stop_token_ends_a_completion_and_is_part_of_it(tiny_model, kind):
    """Both where rows leave the batch and where they stay."""
    engine = HFEngine(tiny_model if kind == "tiny" else make_model(kind))
    plain = SamplingParameters(max_new_tokens=20)
    whole = engine.generate(PROMPTS * 4, plain, range(16))
    stops = tuple({completion.token_ids[3] for completion in whole})
    found = engine.generate(PROMPTS * 4, replace(plain, stop_token_ids=stops), range(16))
    assert any(len(c.token_ids) < 4 for c in found)
    for one, other in zip(found, whole, strict=True):
        length = next(n for n, token in enumerate(other.token_ids, 1) if token in stops)
        assert (one.token_ids, one.finish_reason) == (other.token_ids[:length], "stop")
        assert one.log_probs == pytest.approx(other.log_probs[:length], abs=1e-4)


def test_length_limit(tiny_model):
    tiny_model.generation_config.eos_token_id = 220
    with torch.no_grad():
        tiny_model.lm_head.weight[220] = 0
    completions = HFEngine(tiny_model).generate(PROMPTS, SAMPLING, range(4))
    assert {len(c.token_ids) for c in completions if c.finish_reason == "length"} == {8}


def test_a_frozen_copy_keeps_the_weights_of_its_moment(tiny_model):
    engine = HFEngine(tiny_model)
    frozen = engine.frozen_copy()
    before = frozen.generate(PROMPTS, SAMPLING, range(4))
    with torch.no_grad():
        for parameter in tiny_model.parameters():
            parameter.add_(torch.randn_like(parameter))
    assert frozen.generate(PROMPTS, SAMPLING, range(4)) == before
    assert engine.generate(PROMPTS, SAMPLING, range(4)) != before


@pytest.mark.slow
@pytest.mark.parametrize(
    "settings",
    [
        {"temperature": 0.1, "top_k": 1, "top_p": 0.1, "min_p": 0.9, "do_sample": True},
        {"typical_p": 0.1, "epsilon_cutoff": 0.5, "eta_cutoff": 0.5, "do_sample": True},
        {"repetition_penalty": 5.0, "no_repeat_ngram_size": 1},
        {"encoder_repetition_penalty": 3.0, "encoder_no_repeat_ngram_size": 1},
        {"suppress_tokens": list(range(20, 200))},
        {"begin_suppress_tokens": list(range(20, 200))},
        {"bad_words_ids": [[token] for token in range(20, 200)]},
        {"sequence_bias": [[[token], 3.0] for token in range(20, 60)]},
        {"min_new_tokens": 8, "min_length": 30},
        {"forced_bos_token_id": 9, "forced_eos_token_id": 10},
        {"exponential_decay_length_penalty": [0, 5.0]},
        {"guidance_scale": 2.0},
        {"num_beams": 3, "num_return_sequences": 2, "length_penalty": 3.0},
        {"max_new_tokens": 2, "max_length": 9, "max_time": 1e-9},
        {"max_length": 5},
        {"renormalize_logits": True, "remove_invalid_values": True},
        {"prompt_lookup_num_tokens": 3},
        {"use_cache": False},
    ],
    ids=lambda settings: "-".join(settings),
)
def test_the_models_own_sampling_settings_do_not_interfere(tiny_model, settings):
    plain = HFEngine(tiny_model).generate(PROMPTS, SAMPLING, range(4))
    tiny_model.generation_config.update(**settings)
    own = tiny_model.generation_config
    assert HFEngine(tiny_model).generate(PROMPTS, SAMPLING, range(4)) == plain
    assert tiny_model.generation_config is own


def test_a_policy_with_an_adapter_keeps_its_generation_config(tiny_model):
    tiny_model.generation_config.update(repetition_penalty=5.0)
    model = add_lora(tiny_model, r=2)
    own = model.get_base_model().generation_config
    HFEngine(model).generate(PROMPTS, SAMPLING, range(4))
    assert model.get_base_model().generation_config is own


def test_no_prompts_give_no_completions(tiny_model):
    assert HFEngine(tiny_model).generate([], SAMPLING, []) == []


def test_a_model_without_an_end_token_is_refused(tiny_model):
    tiny_model.generation_config.eos_token_id = None
    with pytest.raises(UserError, match="eos_token_id"):
        HFEngine(tiny_model)


@settings(max_examples=10, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(lengths=st.lists(st.integers(1, 12), min_size=1, max_size=6))
def test_order_is_kept_for_any_lengths(tiny_model, lengths):
    prompts = [[4 + index] * length for index, length in enumerate(lengths)]
    together = HFEngine(tiny_model, 2).generate(prompts, SAMPLING, range(len(prompts)))
    alone = [
        HFEngine(tiny_model).generate([prompt], SAMPLING, [seed])[0]
        for seed, prompt in enumerate(prompts)
    ]
    assert [c.token_ids for c in together] == [c.token_ids for c in alone]
