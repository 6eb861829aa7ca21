import copy

import pytest
import torch
from torch import nn

from p2o.adapters import add_lora
from p2o.blocks import checkpoint_blocks
from p2o.errors import UserError
from p2o.policy import CausalPolicy, response_mask
from p2o.reference import InitialPolicy

PROMPTS = [[4, 7, 9, 5], [4, 5], [4, 30, 31, 32, 33, 34, 5]]
RESPONSES = [[60, 61, 1], [70, 71, 72, 73, 74, 1], [1]]


def batch(prompts=PROMPTS, responses=RESPONSES, width=None):
    rows = [torch.tensor(p + r) for p, r in zip(prompts, responses, strict=True)]
    ids = nn.utils.rnn.pad_sequence(rows, batch_first=True, padding_value=3)
    if width is not None:
        ids = nn.functional.pad(ids, (0, width - ids.shape[1]), value=8)
    return ids, torch.tensor([len(p) for p in prompts]), torch.tensor([len(r) for r in responses])


def expected(model, temperature, prompts=PROMPTS, responses=RESPONSES):
    """Row by row, without padding, from the model's own logits."""
    rows = []
    for prompt, response in zip(prompts, responses, strict=True):
        logits = model(torch.tensor([prompt + response])).logits[0] / temperature
        log_probs = logits.log_softmax(-1)[len(prompt) - 1 : -1]
        rows.append(log_probs.gather(1, torch.tensor(response)[:, None])[:, 0])
    return rows


@pytest.mark.parametrize("temperature", [0.6, 1.0, 2.0])
@pytest.mark.parametrize("chunk_tokens", [1, 3, 4096])
@pytest.mark.parametrize("width", [None, 20])
def test_log_probs_and_gradients_are_the_models_own(tiny_model, temperature, chunk_tokens, width):
    model = tiny_model.double()
    policy = CausalPolicy(model, temperature, chunk_tokens)
    log_probs, _ = policy(*batch(width=width))
    assert log_probs.shape == (3, 6)
    rows = expected(model, temperature)
    weights = torch.linspace(-1, 1, 10, dtype=torch.float64)
    mask = response_mask(batch()[2])
    torch.testing.assert_close(log_probs[mask], torch.cat(rows), atol=1e-9, rtol=1e-9)
    assert not log_probs[~mask].any()
    (log_probs[mask] * weights).sum().backward()
    found = {name: p.grad.clone() for name, p in model.named_parameters()}
    model.zero_grad()
    (torch.cat(rows) * weights).sum().backward()
    for name, parameter in model.named_parameters():
        torch.testing.assert_close(found[name], parameter.grad, atol=1e-9, rtol=1e-7)


def test_entropy_is_that_of_a_categorical_distribution(tiny_model):
    _, entropies = CausalPolicy(tiny_model, 0.8)(*batch())
    for row, (prompt, response) in enumerate(zip(PROMPTS, RESPONSES, strict=True)):
        logits = tiny_model(torch.tensor([prompt + response])).logits[0, len(prompt) - 1 : -1] / 0.8
        wanted = torch.distributions.Categorical(logits=logits).entropy()
        torch.testing.assert_close(entropies[row, : len(response)], wanted, atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("chunk_tokens", [3, 4096])
def test_what_a_model_does_to_its_logits_is_part_of_the_policy(tiny_model, chunk_tokens):
    plain = tiny_model.forward

    def capped(*arguments, **options):
        output = plain(*arguments, **options)
        output.logits = 0.1 * torch.tanh(output.logits / 0.1) + torch.arange(221) / 50
        return output

    before = CausalPolicy(tiny_model, 0.7)(*batch())[0]
    tiny_model.forward = capped
    policy = CausalPolicy(tiny_model, 0.7, chunk_tokens)
    policy.check_model()
    log_probs = policy(*batch())[0]
    rows = torch.cat(expected(tiny_model, 0.7))
    torch.testing.assert_close(log_probs[response_mask(batch()[2])], rows, atol=1e-5, rtol=0)
    assert (log_probs - before).abs().max() > 0.1


def test_a_model_that_gives_its_decoder_more_than_tokens_is_refused(tiny_model):
    plain = tiny_model.forward

    def louder(input_ids, **options):
        return plain(inputs_embeds=5 * tiny_model.get_input_embeddings()(input_ids), **options)

    policy = CausalPolicy(tiny_model, 1.0)
    policy.check_model()
    tiny_model.forward = louder
    with pytest.raises(UserError, match="^model: Qwen2ForCausalLM says other log-probabilities"):
        policy.check_model()


def test_a_model_that_is_random_in_any_mode_is_refused(tiny_model):
    def noise(module, arguments, output):
        return output + 0.3 * torch.randn_like(output)

    tiny_model.get_decoder().norm.register_forward_hook(noise)
    with pytest.raises(UserError, match="^model: Qwen2ForCausalLM is random"):
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
    log_probs = policy(*batch())[0]
    log_probs.sum().backward()
    rows = torch.cat(expected(tiny_model.eval(), 1.0))
    torch.testing.assert_close(log_probs[response_mask(batch()[2])], rows, atol=1e-5, rtol=0)


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
        CausalPolicy(model, 1.0).train()(*batch())[0].sum().backward()
        assert len(passes) == 1 + checkpointed
        gradients.append([p.grad for p in model.parameters()])
    for plain, again in zip(*gradients, strict=True):
        torch.testing.assert_close(again, plain)


def test_compiled_layers_give_the_same_log_probs_and_gradients(tiny_model):
    results = []
    for backend in (None, "aot_eager"):
        model = copy.deepcopy(tiny_model).double()
        log_probs, _ = CausalPolicy(model, 1.0, compile_backend=backend)(*batch())
        log_probs.sum().backward()
        results.append([log_probs, *(p.grad for p in model.parameters())])
    for plain, compiled in zip(*results, strict=True):
        torch.testing.assert_close(compiled, plain)


def test_a_backend_that_torch_does_not_have_is_refused(tiny_model):
    with pytest.raises(UserError, match="^module.compile_backend=fast: torch has .*inductor"):
        CausalPolicy(tiny_model, 1.0, compile_backend="fast")


@pytest.mark.parametrize("lora", [False, True])
@pytest.mark.parametrize("checkpointed", [False, True])
@pytest.mark.parametrize("backend", [None, "aot_eager"])
def test_the_reference_stays_where_the_policy_was(tiny_model, backend, checkpointed, lora):
    if checkpointed:
        checkpoint_blocks(tiny_model)
    model = add_lora(tiny_model, r=4) if lora else tiny_model
    policy = CausalPolicy(model, 1.0, compile_backend=backend)
    reference = InitialPolicy(policy)
    before = policy(*batch())[0].detach()
    torch.testing.assert_close(reference(*batch())[0], before)
    with torch.no_grad():
        for parameter in policy.parameters():
            if parameter.requires_grad:
                parameter.add_(0.1 * torch.randn_like(parameter))
    moved = policy(*batch())[0].detach()
    assert (moved - before).abs().max() > 0.1
    torch.testing.assert_close(reference(*batch())[0], before)
    torch.testing.assert_close(policy(*batch())[0], moved)


def test_compiled_layers_that_are_computed_again_give_the_same_gradient(tiny_model):
    results = []
    for backend in (None, "aot_eager"):
        model = copy.deepcopy(tiny_model).double()
        checkpoint_blocks(model)
        log_probs, _ = CausalPolicy(model, 1.0, compile_backend=backend)(*batch())
        log_probs.sum().backward()
        results.append([log_probs, *(p.grad for p in model.parameters())])
    for plain, compiled in zip(*results, strict=True):
        torch.testing.assert_close(compiled, plain)
