"""What may be asked of an engine."""

import pytest

from p2o.errors import UserError
from p2o.rollout.engine import SamplingParameters, check_lengths, check_training_sampling
from p2o.rollout.vllm_sampling import sampling_fields


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"top_p": 0.5}, "top_p=0.5: training takes the probabilities of all"),
        ({"top_k": 20}, "top_k=20: training takes the probabilities of all tokens"),
    ],
)
def test_training_on_a_part_of_the_distribution_is_refused(settings, said):
    check_training_sampling(SamplingParameters(temperature=0.6))
    with pytest.raises(UserError) as refused:
        check_training_sampling(SamplingParameters(**settings))
    assert str(refused.value).startswith(said)


@pytest.mark.parametrize(
    ("settings", "whole"),
    [({}, True), ({"top_p": 0.9}, False), ({"top_k": 1}, False), ({"temperature": 0.0}, False)],
)
def test_sampling_is_whole_when_any_token_may_come(settings, whole):
    assert SamplingParameters(**settings).whole == whole


def test_there_is_room_for_any_prompt_where_there_is_no_limit():
    check_lengths([[1] * 10_000], SamplingParameters(), None)


def test_a_request_to_vllm_leaves_nothing_open_that_a_generation_config_fills_in():
    fields = sampling_fields(SamplingParameters(0.6, max_new_tokens=7), 3, [1, 2])
    # What vLLM takes from a generation config, but for max_new_tokens.
    neutral = {"repetition_penalty": 1.0, "top_k": -1, "top_p": 1.0, "min_p": 0.0}
    assert {name: fields[name] for name in neutral} == neutral
    assert (fields["temperature"], fields["max_tokens"], fields["seed"]) == (0.6, 7, 3)
    assert fields["stop_token_ids"] == [1, 2]


def test_a_request_to_vllm_passes_on_what_is_asked():
    fields = sampling_fields(SamplingParameters(0.6, 0.9, 5, stop_token_ids=(7, 8)), 3, [1])
    assert (fields["top_p"], fields["top_k"]) == (0.9, 5)
    assert fields["stop_token_ids"] == [1, 7, 8]
