"""Shards of policies whose families name their layers as they like."""

import pytest
import torch
import torch.distributed as dist
from torch import nn
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import FSDPModule

from p2o.policy.blocks import blocks
from p2o.policy.causal import CausalPolicy
from p2o.policy.sharding import FullyShardedStrategy, is_sharded
from p2o.rollout.weights import plain_weights
from p2o.sample import Sample
from tests.families import make_model, with_lora

SAMPLES = [
    Sample.of([5, 6, 7], [8, 9, 10, 11]),
    Sample.of([12, 13], [14, 15, 16]),
    Sample.of([5, 6, 7], [8, 20, 21, 22, 23]),
]


@pytest.fixture
def strategy(tmp_path):
    """The strategy in a group of one process."""
    dist.init_process_group("gloo", init_method=f"file://{tmp_path}/group", rank=0, world_size=1)
    made = FullyShardedStrategy()
    made._device_mesh = init_device_mesh(
        "cpu", (1, 1), mesh_dim_names=("data_parallel", "tensor_parallel")
    )
    yield made
    dist.destroy_process_group()


@pytest.mark.slow
@pytest.mark.parametrize("family", ["gpt2", "gpt_neox", "opt", "bloom", "mpt", "mamba", "gemma3"])
@pytest.mark.parametrize(("chunk_tokens", "pass_tokens"), [(2, 8), (4096, 100)])
def test_a_sharded_policy_of_any_family_gives_the_same_gradient(
    strategy, family, chunk_tokens, pass_tokens
):
    results = []
    for sharded in (False, True):
        policy = CausalPolicy(make_model(family), 0.7, chunk_tokens).train()
        packer = policy.packer(pass_tokens)
        if sharded:
            policy = strategy.shard(policy)
            assert policy.packer(pass_tokens) == packer
            assert is_sharded(policy)
            assert all(isinstance(block, FSDPModule) for block in blocks(policy.model))
        passes = [packed for packed, _ in packer.pack(SAMPLES)]
        log_probs = torch.cat([policy(packed)[0] for packed in passes])
        log_probs.sum().backward()
        results.append([log_probs, *map(gradient, trained(policy))])
    for whole, shards in zip(*results, strict=True):
        torch.testing.assert_close(shards, whole, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("family", ["qwen3", "qwen3_moe", "phimoe"])
def test_lora_is_merged_into_shards_as_into_whole_weights(strategy, family):
    whole = dict(plain_weights(with_lora(family)))
    policy = strategy.shard(CausalPolicy(with_lora(family), 0.7))
    assert is_sharded(policy)
    sharded = dict(plain_weights(policy.model))
    assert sharded.keys() == whole.keys()
    for name, weight in whole.items():
        torch.testing.assert_close(sharded[name], weight)


def trained(policy: nn.Module) -> list[nn.Parameter]:
    return [p for p in policy.parameters() if p.grad is not None]


def gradient(parameter):
    grad = parameter.grad
    return grad.full_tensor() if hasattr(grad, "full_tensor") else grad
