import copy

import pytest
import torch
from torch import nn

from p2o.errors import UserError
from p2o.policy import CausalPolicy, disable_dropout, response_mask

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


def test_head_check_passes_a_plain_model_and_stops_a_soft_capped_one(tiny_model):
    policy = CausalPolicy(tiny_model, 1.0)
    policy.check_head()
    plain = tiny_model.forward

    def capped(*arguments, **options):
        output = plain(*arguments, **options)
        output.logits = 0.1 * torch.tanh(output.logits / 0.1)
        return output

    tiny_model.forward = capped
    with torch.no_grad():
        tiny_model.lm_head.weight.mul_(20)
    with pytest.raises(UserError, match="transforms its logits"):
        policy.check_head()


def test_dropout_is_off_so_that_the_ratio_of_an_unchanged_policy_is_one(tiny_model):
    tiny_model.config.attention_dropout = 0.5
    for layer in tiny_model.model.layers:
        layer.self_attn.attention_dropout = 0.5
    policy = CausalPolicy(disable_dropout(tiny_model), 1.0).train()
    torch.testing.assert_close(policy(*batch())[0], policy(*batch())[0])


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
            model.gradient_checkpointing_enable({"use_reentrant": False})
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
    with pytest.raises(UserError, match="^compile_backend=fast: torch has .*inductor"):
        CausalPolicy(tiny_model, 1.0, compile_backend="fast")
