"""One token more of each row: the same numbers as transformers', without its copies."""

import copy
import weakref
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import nn
from transformers.cache_utils import DynamicLayer
from transformers.integrations.sdpa_attention import sdpa_attention_forward
from transformers.modeling_utils import ALL_ATTENTION_FUNCTIONS

from p2o.rollout.engine import SamplingParameters
from p2o.rollout.hf import HFEngine
from p2o.rollout.one_token import ROOM, Growing, GrowingLayer, grouped_queries
from tests.families import make_model


def column(rows: int, width: int = 1) -> torch.Tensor:
    return torch.randn(rows, 2, width, 4)


def test_columns_stand_behind_what_was_there_and_are_not_copied_while_there_is_room():
    growing, kept = Growing(), column(3, 5)
    expected, places = kept, []
    for _ in range(2 * ROOM):
        more = column(3)
        expected = torch.cat([expected, more], dim=-2)
        kept = growing.put(kept, more)
        assert torch.equal(kept, expected)
        places.append(kept.data_ptr())
    assert len(set(places)) == 2


def test_what_others_hold_is_not_written_to():
    growing = Growing()
    kept = growing.put(column(3, 5), column(3))
    # Both go on from the same columns, and each keeps its own.
    rows = kept[:, :, :4]
    picked, more = growing.put(rows, column(3)), column(3)
    before, other = picked.clone(), growing.put(kept, more)
    assert torch.equal(picked, before)
    assert torch.equal(other, torch.cat([kept, more], dim=-2))


def test_a_layer_keeps_what_transformers_keeps():
    usual: Any = DynamicLayer()
    usual.update(column(4, 6), column(4, 6))
    layer: Any = GrowingLayer.of(copy.deepcopy(usual))
    for step in range(12):
        more = column(len(usual.keys)), column(len(usual.keys))
        for found, expected in zip(layer.update(*more), usual.update(*more), strict=True):
            assert torch.equal(found, expected)
        if step == 5:
            layer = copy.deepcopy(layer)
        if step == 8:
            for each in (layer, usual):
                each.reorder_cache(torch.tensor([2, 0]))
        assert layer.get_seq_length() == usual.get_seq_length()
        assert layer.get_mask_sizes(1) == usual.get_mask_sizes(1)


def test_a_layer_lets_go_of_its_room_when_rows_leave():
    layer: Any = GrowingLayer.of(SimpleNamespace(keys=column(4, 6), values=column(4, 6)))
    layer.update(column(4), column(4))
    spaces = [weakref.ref(each._space) for each in layer._growing]
    layer.reorder_cache(torch.tensor([0, 1]))
    assert [space() for space in spaces] == [None, None]


def test_a_layer_that_is_emptied_begins_anew():
    layer: Any = GrowingLayer.of(SimpleNamespace(keys=column(4, 6), values=column(4, 6)))
    layer.reset()
    first = column(2, 3), column(2, 3)
    assert all(map(torch.equal, layer.update(*first), first))


@pytest.mark.parametrize("heads", [2, 3, 6])
@pytest.mark.parametrize("queries", [1, 5])
@pytest.mark.parametrize("masked", [False, True, "by head"])
def test_grouped_attention_is_transformers_attention(heads, queries, masked):
    module: Any = SimpleNamespace(num_key_value_groups=heads // (2 if heads == 2 else 3))
    keys = heads // module.num_key_value_groups
    query, key, value = (
        torch.randn(4, count, width, 8, dtype=torch.float64)
        for count, width in ((heads, queries), (keys, 7), (keys, 7))
    )
    mask = torch.rand(4, heads if masked == "by head" else 1, queries, 7) > 0.4
    mask[..., -1] = True
    arguments: Any = (module, query, key, value, mask if masked else None)
    expected, _ = sdpa_attention_forward(*arguments, scaling=0.3, is_causal=False)
    with grouped_queries():
        found, _ = ALL_ATTENTION_FUNCTIONS["sdpa"](*arguments, scaling=0.3, is_causal=False)
    torch.testing.assert_close(found, expected, rtol=1e-12, atol=1e-12)


def test_transformers_has_its_own_attention_back_and_that_of_others_stays():
    with grouped_queries(), grouped_queries():
        assert ALL_ATTENTION_FUNCTIONS["sdpa"] is not sdpa_attention_forward
    assert ALL_ATTENTION_FUNCTIONS["sdpa"] is sdpa_attention_forward
    with pytest.raises(ZeroDivisionError), grouped_queries():
        raise ZeroDivisionError
    assert ALL_ATTENTION_FUNCTIONS["sdpa"] is sdpa_attention_forward

    def own(*arguments: Any, **options: Any) -> Any:
        return sdpa_attention_forward(*arguments, **options)

    ALL_ATTENTION_FUNCTIONS["sdpa"] = own
    try:
        with grouped_queries():
            assert ALL_ATTENTION_FUNCTIONS["sdpa"] is own
        assert ALL_ATTENTION_FUNCTIONS["sdpa"] is own
    finally:
        del ALL_ATTENTION_FUNCTIONS["sdpa"]


def test_an_engine_repeats_no_keys_of_padded_rows(monkeypatch):
    usual, heads = nn.functional.scaled_dot_product_attention, []

    def watched(query: Any, key: Any, value: Any, **options: Any) -> Any:
        if len(query) == 8:
            heads.append(key.shape[1])
        return usual(query, key, value, **options)

    monkeypatch.setattr(nn.functional, "scaled_dot_product_attention", watched)
    model = make_model("llama").eval()
    HFEngine(model).generate([[5, 6, 7], [8]] * 4, SamplingParameters(max_new_tokens=4), range(8))
    assert heads
    assert set(heads) == {model.config.num_key_value_heads}
