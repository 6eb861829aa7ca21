"""A sample beyond the length that a model was made for changes nothing for others in its batch."""

import copy
from typing import Any

import pytest
import torch

from p2o.policy.causal import CausalPolicy
from p2o.policy.packing import ALWAYS, Packer
from p2o.policy.rotary import steady_length
from p2o.sample import Sample
from tests.families import DYNAMIC, longrope, make_model

TRAINED_ON = 24
LONGROPE = longrope(TRAINED_ON, 4.0)
LINEAR = {"rope_type": "linear", "rope_theta": 100.0, "factor": 4.0}
DEFAULT = {"rope_type": "default", "rope_theta": 100.0}
LENGTHS = (TRAINED_ON - 6, TRAINED_ON - 1, TRAINED_ON, TRAINED_ON + 1, TRAINED_ON + 9)


def made(family, rope):
    dynamic = DYNAMIC in (rope, rope.get("full_attention"))
    places = TRAINED_ON if dynamic else 4 * TRAINED_ON
    kinds: dict[str, Any] = {"layer_types": [*rope]} if family == "gemma3_text" else {}
    return make_model(family, rope_parameters=rope, max_position_embeddings=places, **kinds)


def samples() -> list[Sample]:
    """Completions of one prompt and of others, in no order of their lengths."""
    generator = torch.Generator().manual_seed(1)
    prompt = torch.randint(3, 94, (9,), generator=generator).tolist()
    found = []
    for length in (*LENGTHS, *LENGTHS[::-1]):
        response = torch.randint(3, 94, (length - len(prompt),), generator=generator).tolist()
        found += [Sample.of(prompt, response), Sample.of(prompt[::-1], response)]
    return found


def scored(policy, packer, of):
    """Log-probabilities of each sample."""
    found = {}
    with torch.no_grad():
        for packed, indices in packer.pack(of):
            values = policy(packed)[0].split([of[index].learned for index in indices])
            found.update(zip(indices, values, strict=True))
    return [found[index] for index in range(len(of))]


@pytest.mark.parametrize(
    ("family", "rope", "length"),
    [
        ("qwen2", LONGROPE, TRAINED_ON),
        ("llama", LONGROPE, TRAINED_ON),
        ("llama", DYNAMIC, TRAINED_ON),
        ("llama", LINEAR, None),
        ("gpt2", None, None),
        ("gemma3_text", {"full_attention": LONGROPE, "sliding_attention": DEFAULT}, TRAINED_ON),
    ],
)
def test_a_model_tells_up_to_which_length_its_frequencies_stay(family, rope, length):
    model = make_model(family) if rope is None else made(family, rope)
    assert steady_length(model) == length
    assert CausalPolicy(model, 1.0).packer(100).alone_above == length


@pytest.mark.parametrize("pass_tokens", [60, 1000])
@pytest.mark.parametrize("longest", [0, ALWAYS], ids=["rows", "trees"])
@pytest.mark.parametrize("family", ["qwen2", "llama"])
def test_samples_of_any_length_say_what_each_says_alone(family, longest, pass_tokens):
    policy, of = CausalPolicy(made(family, LONGROPE), 1.0), samples()
    own = policy.packer(pass_tokens)
    assert own.longest == ALWAYS
    packer = Packer(longest, None, pass_tokens, own.alone_above)
    assert any(len(indices) > 1 for _, indices in packer.pack(of))
    alone = [scored(copy.deepcopy(policy), Packer(), [sample])[0] for sample in of]
    for together, single in zip(scored(policy, packer, of), alone, strict=True):
        torch.testing.assert_close(together, single, atol=1e-5, rtol=0)


@pytest.mark.parametrize(
    ("family", "rope"),
    [
        ("llama", DYNAMIC),
        ("gemma3_text", {"full_attention": DYNAMIC, "sliding_attention": DEFAULT}),
    ],
)
def test_samples_say_the_same_whatever_was_read_before(family, rope):
    policy, of = CausalPolicy(made(family, rope), 1.0), samples()
    packer = policy.packer(1000)
    alone = [scored(copy.deepcopy(policy), Packer(), [sample])[0] for sample in of]
    for _ in range(2):
        for together, single in zip(scored(policy, packer, of), alone, strict=True):
            torch.testing.assert_close(together, single, atol=1e-5, rtol=0)


def test_a_long_sample_is_read_with_the_frequencies_of_its_own_length():
    """As a model does that has read nothing before; a longer one before changes nothing."""
    model = made("llama", DYNAMIC)
    policy, of = CausalPolicy(model, 1.0), samples()
    fresh = copy.deepcopy(model).eval()
    short, long = sorted({len(s.token_ids) for s in of})[-2:]
    ids = torch.tensor([next(s.token_ids for s in of if len(s.token_ids) == short)])
    scored(policy, Packer(), [s for s in of if len(s.token_ids) == long])
    [found] = scored(policy, Packer(), [Sample.of(ids[0, :1].tolist(), ids[0, 1:].tolist())])
    with torch.no_grad():
        logits = fresh(ids).logits[0, :-1]
    expected = logits.log_softmax(-1).gather(1, ids[0, 1:, None])[:, 0]
    torch.testing.assert_close(found, expected, atol=1e-5, rtol=0)
