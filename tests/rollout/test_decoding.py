"""Rows that join and leave a batch draw what they draw in a batch that stays together."""

import copy
import logging
from typing import Any

import pytest
import torch
from transformers import Qwen2Config, Qwen2ForCausalLM

from p2o.rollout.decoding import SPARE, decode
from p2o.rollout.engine import SamplingParameters
from p2o.rollout.generating import generate
from p2o.rollout.hf import HFEngine, say_rows_stay
from p2o.rollout.prefill import rows_can_join
from tests.families import BY_KIND, DYNAMIC, VOCABULARY, longrope, make_model
from tests.quick import first_quick

pytestmark = pytest.mark.slow

DISTINCT = [
    [5, 17, 80, 33],
    [9, 12],
    [60, 61, 7, 7, 40, 41, 42, 11, 23, 50, 51, 52],
    [13],
    list(range(20, 37)),
]
ROLLOUTS = 4
PROMPTS = [prompt for _ in range(ROLLOUTS) for prompt in DISTINCT]
SEEDS = range(len(PROMPTS))
ENDS = list(range(1, 9))
SAMPLED = SamplingParameters(temperature=0.8, max_new_tokens=16)
GREEDY = SamplingParameters(temperature=0.0, max_new_tokens=16)
WHOLE_BATCHES = {"mamba"}
"""Families whose rows stay together."""


class Passes:
    """Rows of each pass of a model: over prompts, and over one token more of each row."""

    def __init__(self, model: Any) -> None:
        self.rows: list[tuple[str, int]] = []
        model.register_forward_pre_hook(self._note, with_kwargs=True)

    def _note(self, model: Any, arguments: Any, options: Any) -> None:
        kind = "prompts" if options["past_key_values"] is None else "tokens"
        self.rows.append((kind, len(options["input_ids"])))

    def of(self, kind: str) -> list[int]:
        return [rows for found, rows in self.rows if found == kind]

    def while_prompts_wait(self) -> list[int]:
        last = max(place for place, (kind, _) in enumerate(self.rows) if kind == "prompts")
        return [rows for kind, rows in self.rows[:last] if kind == "tokens"]


@pytest.mark.parametrize(
    "family", first_quick([name for name in BY_KIND if name not in WHOLE_BATCHES], 3)
)
def test_a_family_draws_what_it_draws_in_whole_batches(family):
    model = make_model(family).eval()
    assert rows_can_join(model, PROMPTS[0][:1])
    for sampling in (SAMPLED, GREEDY):
        found = decode(model, PROMPTS, sampling, SEEDS, ENDS, 6)
        expected = generate(model, PROMPTS, sampling, SEEDS, ENDS, 6)
        assert [c.token_ids for c in found] == [c.token_ids for c in expected]
        assert [c.finish_reason for c in found] == [c.finish_reason for c in expected]
        for one, other in zip(found, expected, strict=True):
            assert one.log_probs == pytest.approx(other.log_probs, abs=1e-4)


@pytest.mark.parametrize("family", sorted(WHOLE_BATCHES))
def test_a_family_whose_rows_stay_together_is_named_once(family, caplog):
    say_rows_stay.cache_clear()
    engine = HFEngine(make_model(family))
    with caplog.at_level(logging.WARNING, "p2o"):
        for sampler in (engine, engine, engine.frozen_copy()):
            sampler.generate(PROMPTS, SAMPLED, SEEDS)
    [record] = [record for record in caplog.records if record.name.startswith("p2o.rollout")]
    assert "rows of a MambaForCausalLM cannot join and leave a batch" in record.message


@pytest.mark.parametrize(
    ("rope", "join"),
    [
        ({"rope_type": "linear", "factor": 2.0}, True),
        ({"rope_type": "dynamic", "factor": 2.0}, False),
        (
            {
                "rope_type": "longrope",
                "factor": 2.0,
                "short_factor": [1.0] * 4,
                "long_factor": [2.0] * 4,
                "original_max_position_embeddings": 32,
            },
            False,
        ),
    ],
    ids=lambda value: value["rope_type"] if isinstance(value, dict) else "",
)
def test_rows_do_not_join_where_the_longest_one_turns_the_others(rope, join):
    config = Qwen2Config(
        vocab_size=VOCABULARY,
        hidden_size=32,
        intermediate_size=32,
        num_hidden_layers=1,
        num_attention_heads=4,
        num_key_value_heads=4,
        max_position_embeddings=64,
        rope_parameters={"rope_theta": 10000.0, **rope},
    )
    assert rows_can_join(Qwen2ForCausalLM(config).eval(), PROMPTS[0][:1]) == join


ORIGINAL = 32
LONGROPE = longrope(ORIGINAL, 2.0)


@pytest.mark.parametrize(
    ("family", "rope"),
    [("qwen2", LONGROPE), ("phi3", LONGROPE), ("llama", DYNAMIC)],
    ids=["longrope", "phi3", "dynamic"],
)
def test_what_a_row_draws_depends_on_no_longer_one_beside_or_before_it(family, rope):
    """Prompts of 4, 2, 12, 1 and 17 tokens: the last grows beyond the original length."""
    own = {"original_max_position_embeddings": ORIGINAL} if family == "phi3" else {}
    places = ORIGINAL if rope is DYNAMIC else 2 * ORIGINAL
    model = make_model(family, rope_parameters=rope, max_position_embeddings=places, **own).eval()
    sampling = SamplingParameters(max_new_tokens=20)
    alone = [
        generate(copy.deepcopy(model), [prompt], sampling, [seed], ENDS[:1], 1)[0]
        for prompt, seed in zip(PROMPTS, SEEDS, strict=True)
    ]
    lengths = [len(p) + len(c.token_ids) for p, c in zip(PROMPTS, alone, strict=True)]
    assert sum(length > ORIGINAL for length in lengths) > 1
    rows: list[int] = []
    model.register_forward_pre_hook(
        lambda _, arguments, options: rows.append(len(options["input_ids"])), with_kwargs=True
    )
    for _ in range(2):
        found = generate(model, PROMPTS, sampling, SEEDS, ENDS[:1], 64)
        for one, other in zip(found, alone, strict=True):
            assert one.token_ids == other.token_ids
            assert one.log_probs == pytest.approx(other.log_probs, abs=1e-4)
    # Those that stay within the original length share a batch.
    assert {*rows} == {1, sum(len(prompt) + 20 <= ORIGINAL for prompt in PROMPTS)}


@pytest.mark.parametrize("max_rows", [1, 3, 6, 64])
@pytest.mark.parametrize("sampling", [SAMPLED, GREEDY], ids=["sampled", "greedy"])
def test_each_distinct_prompt_is_read_once(sampling, max_rows):
    model = make_model("llama").eval()
    expected = generate(model, PROMPTS, sampling, SEEDS, ENDS, 64)
    passes = Passes(model)
    found = decode(model, PROMPTS, sampling, SEEDS, ENDS, max_rows)
    assert [c.token_ids for c in found] == [c.token_ids for c in expected]
    assert sum(passes.of("prompts")) == len(DISTINCT)


@pytest.mark.parametrize("max_rows", [8, 16])
def test_the_batch_stays_full_and_ended_rows_leave_it(max_rows):
    model = make_model("llama").eval()
    passes = Passes(model)
    sampling = SamplingParameters(max_new_tokens=40)
    completions = decode(model, PROMPTS * 3, sampling, range(60), ENDS, max_rows)
    lengths = [len(completion.token_ids) for completion in completions]
    assert (min(lengths), max(lengths)) == (1, 40)
    # The last token of a row need not be read.
    needed = sum(lengths) - len(lengths)
    assert needed <= sum(passes.of("tokens")) <= needed * (1 + 1 / SPARE)
    full = passes.while_prompts_wait()
    assert max(full) == max_rows
    assert sum(full) / len(full) > max_rows * (1 - 1.5 / SPARE)


def test_rows_are_sampled_in_inference_mode_too():
    model = make_model("gemma3_text").eval()
    expected = decode(model, PROMPTS, SAMPLED, SEEDS, ENDS, 6)
    with torch.inference_mode():
        assert decode(model, PROMPTS, SAMPLED, SEEDS, ENDS, 6) == expected
