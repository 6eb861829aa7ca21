import copy

import pytest
import torch
from torch import nn
from transformers import GPTNeoConfig, GPTNeoForCausalLM

from p2o.errors import UserError
from p2o.policy.adapters import add_lora
from p2o.policy.blocks import checkpoint_blocks
from p2o.policy.causal import CausalPolicy
from p2o.policy.packing import ALWAYS, Packer
from p2o.policy.reference import InitialPolicy
from p2o.sample import Sample

PROMPTS = [[4, 7, 9, 5], [4, 5], [4, 30, 31, 32, 33, 34, 5]]
RESPONSES = [[60, 61, 1], [70, 71, 72, 73, 74, 1], [1]]
SAMPLES = list(map(Sample.of, PROMPTS, RESPONSES))
PACKERS = [Packer(), Packer(ALWAYS)]
"""Rows, and one tree: the prompts begin alike."""


def batch(packer=PACKERS[0]):
    """All samples in one pass."""
    [(packed, _)] = packer.pack(SAMPLES)
    return packed


def in_pass(packer, values):
    """What belongs to samples, in the order of their pass."""
    [(_, indices)] = packer.pack(SAMPLES)
    return torch.cat([values[index] for index in indices])


def logits_of(model, temperature):
    """Row by row, without padding, the model's own."""
    for prompt, response in zip(PROMPTS, RESPONSES, strict=True):
        yield model(torch.tensor([prompt + response])).logits[0, len(prompt) - 1 : -1] / temperature


def expected(model, temperature, packer=PACKERS[0]):
    """Log-probabilities in the order of the pass."""
    rows = [
        logits.log_softmax(-1).gather(1, torch.tensor(response)[:, None])[:, 0]
        for logits, response in zip(logits_of(model, temperature), RESPONSES, strict=True)
    ]
    return in_pass(packer, rows)


@pytest.mark.parametrize("temperature", [0.6, 1.0, 2.0])
@pytest.mark.parametrize("chunk_tokens", [1, 3, 4096])
@pytest.mark.parametrize("packer", PACKERS, ids=repr)
def test_log_probs_and_gradients_are_the_models_own(tiny_model, temperature, chunk_tokens, packer):
    model = tiny_model.double()
    policy = CausalPolicy(model, temperature, chunk_tokens)
    log_probs, _ = policy(batch(packer))
    assert log_probs.shape == (10,)
    rows = expected(model, temperature, packer)
    weights = torch.linspace(-1, 1, 10, dtype=torch.float64)
    torch.testing.assert_close(log_probs, rows, atol=1e-9, rtol=1e-9)
    (log_probs * weights).sum().backward()
    found = {name: p.grad.clone() for name, p in model.named_parameters()}
    model.zero_grad()
    (rows * weights).sum().backward()
    for name, parameter in model.named_parameters():
        # Norms round to float32: what tokens share is rounded once in a tree, and not in each row.
        atol = 1e-9 if packer == PACKERS[0] else 1e-6
        torch.testing.assert_close(found[name], parameter.grad, atol=atol, rtol=1e-7)


@pytest.mark.parametrize("packer", PACKERS, ids=repr)
def test_entropy_is_that_of_a_categorical_distribution(tiny_model, packer):
    _, entropies = CausalPolicy(tiny_model, 0.8)(batch(packer))
    distributions = [
        torch.distributions.Categorical(logits=logits) for logits in logits_of(tiny_model, 0.8)
    ]
    wanted = in_pass(packer, [distribution.entropy() for distribution in distributions])
    torch.testing.assert_close(entropies, wanted, atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("packer", PACKERS, ids=repr)
def test_inserted_tokens_are_read_and_not_learned(tiny_model, packer):
    """What a tool or a forced prefix put into a completion, in the middle and at its end."""
    prompt, chosen = [4, 7, 9], [False, True, True, False, False, True, False]
    completions = [[11, 12, 13, 14, 15, 16, 17], [11, 12, 23, 24, 25, 26, 27]]
    samples = [Sample.of(prompt, completion, chosen) for completion in completions]
    [(packed, indices)] = packer.pack(samples)
    model = tiny_model.double()
    log_probs, _ = CausalPolicy(model, 0.7)(packed)
    wanted = []
    for index in indices:
        ids = torch.tensor([prompt + completions[index]])
        of_tokens = (model(ids).logits[0, 2:-1] / 0.7).log_softmax(-1)
        of_tokens = of_tokens.gather(1, ids[0, 3:, None])[:, 0]
        wanted.append(of_tokens[torch.tensor(chosen)])
    torch.testing.assert_close(log_probs, torch.cat(wanted), atol=1e-9, rtol=1e-9)


@pytest.mark.parametrize("chunk_tokens", [3, 4096])
def test_what_a_model_does_to_its_logits_is_part_of_the_policy(tiny_model, chunk_tokens):
    plain = tiny_model.forward

    def capped(*arguments, **options):
        output = plain(*arguments, **options)
        output.logits = 0.1 * torch.tanh(output.logits / 0.1) + torch.arange(221) / 50
        return output

    before = CausalPolicy(tiny_model, 0.7)(batch())[0]
    tiny_model.forward = capped
    policy = CausalPolicy(tiny_model, 0.7, chunk_tokens)
    policy.check_model()
    log_probs = policy(batch())[0]
    torch.testing.assert_close(log_probs, expected(tiny_model, 0.7), atol=1e-5, rtol=0)
    assert (log_probs - before).abs().max() > 0.1


def test_a_model_that_gives_its_decoder_more_than_tokens_is_refused(tiny_model):
    plain = tiny_model.forward

    def louder(input_ids, **options):
        return plain(inputs_embeds=5 * tiny_model.get_input_embeddings()(input_ids), **options)

    policy = CausalPolicy(tiny_model, 1.0)
    policy.check_model()
    tiny_model.forward = louder
    with pytest.raises(UserError, match="^Qwen2ForCausalLM says other log-probabilities"):
        policy.check_model()


def test_a_model_that_is_random_in_any_mode_is_refused(tiny_model):
    def noise(module, arguments, output):
        return output + 0.3 * torch.randn_like(output)

    tiny_model.get_decoder().norm.register_forward_hook(noise)
    with pytest.raises(UserError, match="^Qwen2ForCausalLM is random"):
        CausalPolicy(tiny_model, 1.0).train().check_model()


def functional(module, arguments, output):
    return nn.functional.dropout(output, 0.5, module.training)


def jitter(module, arguments, output):
    return output * (1 + module.training * torch.rand_like(output))


@pytest.mark.parametrize("checkpointed", [False, True])
@pytest.mark.parametrize("noise", [None, functional, jitter])
def test_nothing_is_random_so_that_the_ratio_of_an_unchanged_policy_is_one(
    tiny_model, noise, checkpointed
):
    for layer in tiny_model.model.layers:
        layer.self_attn.attention_dropout = 0.5
        layer.mlp = nn.Sequential(layer.mlp, nn.Dropout(0.5))
        if noise is not None:
            # Once in a layer itself, which is what is computed again.
            layer.mlp.register_forward_hook(noise)
            layer.register_forward_hook(noise)
    if checkpointed:
        checkpoint_blocks(tiny_model)
    policy = CausalPolicy(tiny_model, 1.0).train()
    assert policy.training
    log_probs = policy(batch())[0]
    log_probs.sum().backward()
    rows = expected(tiny_model.eval(), 1.0)
    torch.testing.assert_close(log_probs, rows, atol=1e-5, rtol=0)


def layer_passes(model):
    """A list that grows by one with each pass through the first layer."""
    passes = []
    model.get_decoder().layers[0].self_attn.register_forward_hook(lambda *_: passes.append(1))
    return passes


def test_checkpointed_layers_run_again_and_give_the_same_gradient(tiny_model):
    gradients = []
    for checkpointed in (False, True):
        model = copy.deepcopy(tiny_model).double()
        if checkpointed:
            checkpoint_blocks(model)
        passes = layer_passes(model)
        CausalPolicy(model, 1.0).train()(batch())[0].sum().backward()
        assert len(passes) == 1 + checkpointed
        gradients.append([p.grad for p in model.parameters()])
    for plain, again in zip(*gradients, strict=True):
        torch.testing.assert_close(again, plain)


@pytest.mark.slow
@pytest.mark.parametrize("packer", PACKERS, ids=repr)
def test_compiled_layers_give_the_same_log_probs_and_gradients(tiny_model, packer):
    results = []
    for backend in (None, "aot_eager"):
        model = copy.deepcopy(tiny_model).double()
        policy = CausalPolicy(model, 1.0, compile_backend=backend)
        assert policy.packer(100).longest == ALWAYS
        log_probs, _ = policy(batch(packer))
        log_probs.sum().backward()
        results.append([log_probs, *(p.grad for p in model.parameters())])
    for plain, compiled in zip(*results, strict=True):
        torch.testing.assert_close(compiled, plain)


def test_a_backend_that_torch_does_not_have_is_refused(tiny_model):
    with pytest.raises(UserError, match="^compile_backend=fast: torch has .*inductor"):
        CausalPolicy(tiny_model, 1.0, compile_backend="fast")


@pytest.mark.parametrize("packer", PACKERS, ids=repr)
def test_a_policy_with_an_adapter_reads_trees(tiny_model, packer):
    policy = CausalPolicy(add_lora(tiny_model.double(), r=4), 0.7)
    with torch.no_grad():
        for parameter in policy.parameters():
            if parameter.requires_grad:
                parameter.add_(0.1 * torch.randn_like(parameter))
    assert policy.packer(100).longest == ALWAYS
    log_probs, _ = policy(batch(packer))
    wanted = expected(policy.model, 0.7, packer)
    torch.testing.assert_close(log_probs, wanted, atol=1e-9, rtol=1e-9)
    trained = [p for p in policy.parameters() if p.requires_grad]
    gradients = (torch.autograd.grad(values.sum(), trained) for values in (log_probs, wanted))
    for found, own in zip(*gradients, strict=True):
        torch.testing.assert_close(found, own, atol=1e-6, rtol=1e-7)


@pytest.mark.parametrize("lora", [False, True])
@pytest.mark.parametrize("checkpointed", [False, True])
@pytest.mark.parametrize("backend", [None, pytest.param("aot_eager", marks=pytest.mark.slow)])
def test_the_reference_stays_where_the_policy_was(tiny_model, backend, checkpointed, lora):
    if checkpointed:
        checkpoint_blocks(tiny_model)
    model = add_lora(tiny_model, r=4) if lora else tiny_model
    policy = CausalPolicy(model, 1.0, compile_backend=backend)
    reference = InitialPolicy(policy)
    before = policy(batch())[0].detach()
    torch.testing.assert_close(reference(batch())[0], before)
    with torch.no_grad():
        for parameter in policy.parameters():
            if parameter.requires_grad:
                parameter.add_(0.1 * torch.randn_like(parameter))
    moved = policy(batch())[0].detach()
    assert (moved - before).abs().max() > 0.1
    torch.testing.assert_close(reference(batch())[0], before)
    torch.testing.assert_close(policy(batch())[0], moved)


@pytest.mark.slow
@pytest.mark.parametrize("packer", PACKERS, ids=repr)
def test_compiled_layers_that_are_computed_again_give_the_same_gradient(tiny_model, packer):
    results = []
    for backend in (None, "aot_eager"):
        model = copy.deepcopy(tiny_model).double()
        checkpoint_blocks(model)
        log_probs, _ = CausalPolicy(model, 1.0, compile_backend=backend)(batch(packer))
        log_probs.sum().backward()
        results.append([log_probs, *(p.grad for p in model.parameters())])
    for plain, compiled in zip(*results, strict=True):
        torch.testing.assert_close(compiled, plain)


def test_what_a_model_is_tried_with_is_not_rounded(tiny_model):
    """Else TF32 on a GPU looks like branches that see each other."""
    torch.set_float32_matmul_precision("high")
    found = []
    tiny_model.model.layers[0].register_forward_hook(
        lambda *_: found.append(torch.get_float32_matmul_precision())
    )
    policy = CausalPolicy(tiny_model, 1.0).train()
    try:
        assert policy.packer(100).longest == ALWAYS
        policy.check_model()
        assert torch.get_float32_matmul_precision() == "high"
    finally:
        torch.set_float32_matmul_precision("highest")
    assert set(found) == {"highest"}


def test_rows_are_apart_where_a_window_goes_by_places_in_a_row(caplog):
    """A probe of a few tokens could not see it: branches far behind their context would lose it."""
    config = GPTNeoConfig(
        vocab_size=100,
        hidden_size=16,
        num_layers=2,
        num_heads=2,
        attention_types=[[["global", "local"], 1]],
        window_size=256,
        max_position_embeddings=512,
    )
    assert CausalPolicy(GPTNeoForCausalLM(config), 1.0).packer(2048).longest == 0
    assert "reads rollouts one by one" in caplog.text
