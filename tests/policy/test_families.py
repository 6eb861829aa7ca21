"""Every family of models is trained on what it says, and sampled from what it says."""

import copy
from dataclasses import replace

import pytest
import torch
from transformers import AutoModelForCausalLM

from p2o.policy.adapters import save_policy
from p2o.policy.blocks import blocks, checkpoint_blocks
from p2o.policy.causal import CausalPolicy
from p2o.policy.models import load_policy
from p2o.policy.packing import ALWAYS, Packer
from p2o.rollout.engine import SamplingParameters
from p2o.rollout.hf import HFEngine
from p2o.rollout.weights import checkpoint_weights, plain_weights, whole_copy
from p2o.sample import Sample
from tests.families import BY_KIND, FAMILIES, make_model, with_lora
from tests.quick import first_quick

PROMPTS = [[5, 17, 80, 33], [9, 12], [60, 61, 7, 7, 40, 41, 42, 11, 23]]
RESPONSES = [[30, 31, 32, 55, 1], [70, 71, 72, 8, 90, 13, 14, 15, 29, 28, 1], [3, 50, 1]]
TEMPERATURE = 0.7
SAMPLES = list(map(Sample.of, PROMPTS, RESPONSES))


def log_probs_of(policy, packer, samples=SAMPLES):
    """Log-probabilities of all samples, one after another."""
    found = {}
    for packed, indices in packer.pack(samples):
        values = policy(packed)[0].split([samples[index].learned for index in indices])
        found.update(zip(indices, values, strict=True))
    return torch.cat([found[index] for index in range(len(samples))])


def plain(model, responses):
    """Log-probabilities of all responses, row by row, by the model's plain forward pass."""
    model.eval()
    found = []
    for prompt, response in zip(PROMPTS, responses, strict=True):
        logits = model(torch.tensor([prompt + response])).logits[0, len(prompt) - 1 : -1]
        log_probs = (logits / TEMPERATURE).log_softmax(-1)
        found.append(log_probs.gather(1, torch.tensor(response)[:, None])[:, 0])
    return torch.cat(found)


@pytest.mark.parametrize("family", first_quick(BY_KIND, 3))
def test_a_family_is_trained_on_what_it_says(family):
    policy = CausalPolicy(make_model(family), TEMPERATURE, chunk_tokens=4).train()
    policy.check_model()
    other = copy.deepcopy(policy.model)
    optimizer = torch.optim.SGD(policy.parameters(), lr=0.05)
    first = plain(other, RESPONSES).detach()
    for _ in range(2):
        log_probs = log_probs_of(policy, Packer())
        other.load_state_dict(policy.model.state_dict())
        expected = plain(other, RESPONSES)
        torch.testing.assert_close(log_probs, expected, atol=1e-5, rtol=0)
        optimizer.zero_grad()
        log_probs.sum().backward()
        other.zero_grad()
        expected.sum().backward()
        gradients = {name: p.grad for name, p in other.named_parameters()}
        for name, parameter in policy.model.named_parameters():
            torch.testing.assert_close(parameter.grad, gradients[name], atol=1e-3, rtol=1e-3)
        optimizer.step()
    assert (plain(policy.model, RESPONSES) - first).abs().max() > 0.1


@pytest.mark.parametrize("family", first_quick(BY_KIND, 3))
def test_a_family_is_sampled_from_what_it_says(family):
    model = make_model(family)
    sampling = SamplingParameters(temperature=TEMPERATURE, max_new_tokens=8)
    completions = HFEngine(model, probe_bound=1e-4).generate(PROMPTS, sampling, range(3))
    assert len({completion.token_ids for completion in completions}) == 3
    found = torch.tensor([value for c in completions for value in c.log_probs])
    with torch.no_grad():
        expected = plain(model, [list(completion.token_ids) for completion in completions])
    torch.testing.assert_close(found, expected, atol=1e-4, rtol=0)


@pytest.mark.parametrize("family", FAMILIES)
def test_the_layers_of_a_family_are_found_and_computed_again(family):
    model = make_model(family)
    layers = blocks(model)
    assert len(layers) == model.config.get_text_config().num_hidden_layers
    passes = []
    part = max(layers[0].children(), key=lambda child: sum(p.numel() for p in child.parameters()))
    part.register_forward_pre_hook(lambda *_: passes.append(part))
    policy = CausalPolicy(model, TEMPERATURE).train()
    [(packed, _)] = Packer().pack(SAMPLES)
    gradients = []
    for checkpointed in (False, True):
        if checkpointed:
            checkpoint_blocks(model)
        passes.clear()
        policy.zero_grad()
        policy(packed)[0].sum().backward()
        assert len(passes) == 1 + checkpointed
        gradients.append([p.grad for p in model.parameters() if p.grad is not None])
    for once, again in zip(*gradients, strict=True):
        torch.testing.assert_close(again, once, atol=1e-5, rtol=1e-4)


WINDOWED = ("mistral", "gemma2", "gemma3_text", "gemma3", "gpt_oss")
ONE_BY_ONE = ("qwen3_next", "bloom", "mpt", "mamba", "lfm2")
"""Families that a mask does not tell what a token sees."""
TREES = [family for family in FAMILIES if family not in (*WINDOWED, *ONE_BY_ONE)]
WINDOW = 64


def branching(*lengths: int) -> list[Sample]:
    """Completions of two prompts, some of which go on alike, repeat or end where others go on."""
    generator = torch.Generator().manual_seed(2)

    def tokens(length):
        return torch.randint(3, 94, (length,), generator=generator).tolist()

    samples = []
    for length in lengths:
        prompt, opening = tokens(length - 8), tokens(3)
        endings = [[], tokens(2), tokens(5), tokens(5)]
        completions = [*(opening + ending for ending in endings), tokens(8)]
        chosen = [*[None] * 3, [True, False, True, True, False, False, True, True], None]
        samples += map(Sample.of, [prompt] * 5, completions, chosen)
    return [*samples[::2], *samples[1::2], samples[2]]


def assert_equal_to_rows(policy, packer, samples):
    """Log-probabilities and gradients are those of each sample alone."""
    weights = torch.linspace(-1, 2, sum(sample.learned for sample in samples))
    trained = [p for p in policy.parameters() if p.requires_grad]
    results = []
    for way in (Packer(pass_tokens=1), packer):
        log_probs = log_probs_of(policy, way, samples)
        gradients = torch.autograd.grad((log_probs * weights).sum(), trained, allow_unused=True)
        results.append([log_probs, *(each for each in gradients if each is not None)])
    for alone, packed in zip(*results, strict=True):
        size = max(alone.abs().max().item(), 1.0)
        torch.testing.assert_close(packed / size, alone / size, atol=1e-5, rtol=0)


def trees(packer, samples) -> list[list[int]]:
    """Lengths of the samples in each pass that has trees."""
    return [
        [len(samples[index].token_ids) for index in indices]
        for packed, indices in packer.pack(samples)
        if packed.tree is not None
    ]


def shared(policy, pass_tokens=1000) -> Packer:
    """The policy's packer, with everything shared that may be."""
    return replace(policy.packer(pass_tokens), width=None)


def test_every_family_is_said_to_read_trees_or_not():
    assert {"llama", "qwen2", "qwen3", "mixtral", "qwen3_moe", "olmo2", "phi3"} <= {*TREES}
    assert {"gemma", "gpt2", "gpt_neox", "deepseek_v3"} <= {*TREES}
    assert {*TREES, *WINDOWED, *ONE_BY_ONE} == {*FAMILIES}


@pytest.mark.parametrize("pass_tokens", [30, 1000])
@pytest.mark.parametrize("family", TREES)
def test_a_tree_says_and_teaches_what_its_rows_do(family, pass_tokens):
    policy, samples = CausalPolicy(make_model(family), TEMPERATURE).train(), branching(14, 22)
    packer = shared(policy, pass_tokens)
    assert packer.longest == ALWAYS
    assert len(sum(trees(packer, samples), [])) == len(samples)
    assert_equal_to_rows(policy, packer, samples)


@pytest.mark.parametrize("family", ONE_BY_ONE)
def test_a_family_that_a_mask_does_not_reach_reads_rows(family, caplog):
    policy, samples = CausalPolicy(make_model(family), TEMPERATURE).train(), branching(14, 22)
    packer = shared(policy)
    assert packer.longest == 0
    assert "reads rollouts one by one" in caplog.text
    assert trees(packer, samples) == []
    assert_equal_to_rows(policy, packer, samples)


@pytest.mark.parametrize("family", WINDOWED)
def test_with_a_window_trees_have_samples_that_fit_into_it(family):
    model = make_model(family, sliding_window=WINDOW, max_position_embeddings=128)
    policy = CausalPolicy(model, TEMPERATURE).train()
    packer, samples = shared(policy), branching(20, WINDOW, WINDOW + 3, WINDOW + 30)
    assert packer.longest == WINDOW
    fitting = [len(s.token_ids) for s in samples if len(s.token_ids) <= WINDOW]
    assert max(fitting) == WINDOW
    assert len(fitting) < len(samples)
    assert sorted(sum(trees(packer, samples), [])) == sorted(fitting)
    assert_equal_to_rows(policy, packer, samples)
    # A window too short for what a policy is tried with has none.
    narrow = CausalPolicy(make_model(family), TEMPERATURE).train()
    assert shared(narrow).longest == 0
    assert_equal_to_rows(narrow, shared(narrow), branching(9, 14))


@pytest.fixture
def uncompiled():
    """Flex attention is compiled by transformers, which takes a minute."""
    torch.compiler.set_stance("force_eager")
    yield
    torch.compiler.set_stance("default")


@pytest.mark.slow
@pytest.mark.parametrize(
    ("kind", "family"),
    [
        *(("eager", family) for family in ("llama", "mistral", "qwen3_moe", "gemma2", "gpt_oss")),
        # With sinks it is for GPUs alone.
        *(("flex_attention", family) for family in ("llama", "mistral", "qwen3_moe", "gemma2")),
    ],
)
def test_a_tree_is_read_alike_by_every_kind_of_attention(kind, family, uncompiled):
    settings = {"sliding_window": WINDOW} if family in WINDOWED else {}
    model = make_model(family, **settings)
    model.set_attn_implementation(kind)
    policy, samples = CausalPolicy(model, TEMPERATURE).train(), branching(14, 22)
    packer = policy.packer(1000)
    assert packer.longest == (WINDOW if settings else ALWAYS)
    # Where a mask is sparse, branches cost each other nothing.
    assert (packer.width is None) == (kind == "flex_attention")
    assert trees(packer, samples)
    if kind == "eager":
        assert_equal_to_rows(policy, packer, samples)
    else:
        # It has no backward pass on a CPU.
        with torch.no_grad():
            alone = log_probs_of(policy, Packer(pass_tokens=1), samples)
            torch.testing.assert_close(
                log_probs_of(policy, packer, samples), alone, atol=1e-5, rtol=0
            )


@pytest.mark.parametrize("family", ["llama", "qwen3_moe", "gpt2"])
def test_an_adapter_reads_trees(family):
    policy = CausalPolicy(with_lora(family), TEMPERATURE).train()
    assert shared(policy).longest == ALWAYS
    assert_equal_to_rows(policy, shared(policy), branching(14, 22))


EXPERTS = {"gate_up_proj", "down_proj"}
ADAPTED_EXPERTS = {
    "mixtral": EXPERTS,
    "qwen3_moe": EXPERTS,
    "qwen3_next": EXPERTS,
    "olmoe": EXPERTS,
    "deepseek_v3": EXPERTS,
    "phimoe": set(),
    "qwen2_moe": set(),
    "gpt_oss": set(),
}
"""Parameters of the experts that ``all-linear`` adapts, by families of mixtures."""


# Peft refuses Mamba.
@pytest.mark.slow
@pytest.mark.parametrize("family", [family for family in FAMILIES if family != "mamba"])
def test_lora_on_a_family_is_merged_into_the_weights_that_an_engine_has(family):
    policy, base = with_lora(family), make_model(family)
    with torch.no_grad():
        expected = plain(policy, RESPONSES)
        assert (plain(base, RESPONSES) - expected).abs().max() > 0.01
        torch.testing.assert_close(plain(whole_copy(policy), RESPONSES), expected)
    sent = checkpoint_weights(policy, plain_weights(policy))
    kept = checkpoint_weights(base, plain_weights(base))
    assert [(n, w.shape) for n, w in sent] == [(n, w.shape) for n, w in kept]


@pytest.mark.parametrize("family", ADAPTED_EXPERTS)
def test_lora_on_a_mixture_trains_the_experts_that_it_is_said_to(family):
    policy, base = with_lora(family).eval(), make_model(family)
    CausalPolicy(policy, TEMPERATURE).check_model()
    before = dict(plain_weights(base))
    changed = {n for n, weight in plain_weights(policy) if not torch.equal(weight, before[n])}
    experts = {name.rpartition(".")[2] for name in changed if ".experts." in name}
    assert experts == ADAPTED_EXPERTS[family]
    assert any("attn.o_proj" in name for name in changed)


@pytest.mark.slow
@pytest.mark.parametrize("merged", [True, False], ids=["merged", "alone"])
@pytest.mark.parametrize("family", ADAPTED_EXPERTS)
def test_lora_on_a_mixture_is_loaded_as_it_was_saved(family, merged, tokenizer, tmp_path):
    make_model(family, len(tokenizer)).save_pretrained(tmp_path / "base")
    base = AutoModelForCausalLM.from_pretrained(tmp_path / "base")
    policy = with_lora(family, base)
    save_policy(policy, tokenizer, tmp_path / "policy", merged)
    loaded, _ = load_policy(str(tmp_path / "policy"))
    with torch.no_grad():
        torch.testing.assert_close(plain(loaded, RESPONSES), plain(policy, RESPONSES))
