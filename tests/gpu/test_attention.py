"""Prefix trees under flex attention, whose kernels and backward pass run on GPUs alone."""

import pytest
import torch

from p2o.policy.causal import CausalPolicy
from p2o.policy.packing import ALWAYS, Packer
from p2o.sample import Sample
from tests.families import make_model

pytestmark = pytest.mark.gpu

WIDE_HEADS = {
    "hidden_size": 256,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "head_dim": 64,
    "max_position_embeddings": 65536,
}
"""Heads as wide as those of real models: the kernels have no choice for very narrow ones."""


def made(family: str, kind: str, **more) -> CausalPolicy:
    model = make_model(family, **WIDE_HEADS, **more).cuda()
    model.set_attn_implementation(kind)
    return CausalPolicy(model, 1.0).train()


def groups(*sizes: tuple[int, int]) -> list[Sample]:
    """Four completions of each prompt, by lengths of prompt and completion."""
    generator = torch.Generator().manual_seed(0)

    def tokens(length):
        return torch.randint(3, 94, (length,), generator=generator).tolist()

    return [
        Sample.of(prompt, tokens(completion + place))
        for length, completion in sizes
        for prompt in [tokens(length)]
        for place in range(4)
    ]


def log_probs_of(policy, packer, samples):
    found = {}
    for packed, indices in packer.pack(samples):
        values = policy(packed.to("cuda"))[0].split([samples[i].learned for i in indices])
        found.update(zip(indices, values, strict=True))
    return torch.cat([found[index] for index in range(len(samples))])


def gradients_of(policy, packer, samples):
    log_probs = log_probs_of(policy, packer, samples)
    weights = torch.linspace(-1, 2, len(log_probs), device="cuda")
    gradients = torch.autograd.grad(
        (log_probs * weights).mean(), [*policy.parameters()], allow_unused=True
    )
    return log_probs, [each for each in gradients if each is not None]


@pytest.mark.parametrize("family", ["llama", "qwen3", "qwen3_moe", "gemma2", "mistral"])
def test_a_tree_says_and_teaches_what_its_rows_do(family):
    window = {"sliding_window": 512} if family in ("gemma2", "mistral") else {}
    policy = made(family, "flex_attention", **window)
    packer = policy.packer(4096)
    assert packer.longest == (512 if window else ALWAYS)
    assert packer.width is None
    # More than one block of 128 tokens, and passes of several lengths.
    for sizes in ([(150, 60), (40, 200)], [(3, 20)], [(130, 1), (7, 90), (300, 30)]):
        samples = groups(*sizes)
        assert any(packed.tree is not None for packed, _ in packer.pack(samples))
        packed, by_tree = gradients_of(policy, packer, samples)
        # The plain forward pass of each sample, by another kernel.
        policy.model.set_attn_implementation("sdpa")
        alone, by_row = gradients_of(policy, Packer(pass_tokens=1), samples)
        policy.model.set_attn_implementation("flex_attention")
        torch.testing.assert_close(packed, alone, atol=2e-4, rtol=0)
        for tree, row in zip(by_tree, by_row, strict=True):
            size = max(row.abs().max().item(), 1e-3)
            torch.testing.assert_close(tree / size, row / size, atol=2e-3, rtol=0)


@pytest.mark.parametrize("kind", ["sdpa", "flex_attention"])
def test_products_in_tf32_do_not_look_like_branches_that_see_each_other(kind):
    torch.set_float32_matmul_precision("high")
    try:
        assert made("llama", kind).packer(4096).longest == ALWAYS
    finally:
        torch.set_float32_matmul_precision("highest")


def test_under_autocast_trees_and_rows_differ_by_rounding_alone():
    policy = made("llama", "flex_attention")
    samples = groups((150, 60), (40, 200))
    packer = policy.packer(4096)
    exact = log_probs_of(policy, packer, samples)
    with torch.autocast("cuda", torch.bfloat16):
        rounded, gradients = gradients_of(policy, packer, samples)
    assert (rounded - exact).abs().mean() < 0.05
    assert all(gradient.isfinite().all() for gradient in gradients)


def test_a_long_tree_never_holds_its_whole_mask():
    policy = made("llama", "flex_attention")
    samples = groups((30_000, 4_000))
    [(packed, _)] = policy.packer(1 << 20).pack(samples)
    assert packed.tree is not None
    policy(packed.to("cuda"))[0].sum().backward()  # Compiles.
    policy.zero_grad()
    torch.cuda.reset_peak_memory_stats()
    policy(packed.to("cuda"))[0].sum().backward()
    # A boolean for each pair of tokens.
    assert torch.cuda.max_memory_allocated() < packed.tokens**2 / 2
