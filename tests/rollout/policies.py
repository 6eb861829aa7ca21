"""Small random policies whose weights are easily left behind."""

from typing import Any

import torch
from transformers import (
    DeepseekV3Config,
    DeepseekV3ForCausalLM,
    GenerationConfig,
    Qwen2Config,
    Qwen2ForCausalLM,
)

from p2o.policy.adapters import add_lora

VOCABULARY = 221
"""As the embedded tokenizer."""
ENDS = GenerationConfig(bos_token_id=1, eos_token_id=2, pad_token_id=0)


def tied() -> Qwen2ForCausalLM:
    """A Qwen2 whose head shares the weights of its embeddings."""
    torch.manual_seed(0)
    config = Qwen2Config(
        vocab_size=VOCABULARY,
        hidden_size=32,
        intermediate_size=64,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        max_position_embeddings=128,
        initializer_range=0.3,
        tie_word_embeddings=True,
    )
    model = Qwen2ForCausalLM(config)
    model.generation_config = ENDS
    return model.eval()


def routed() -> DeepseekV3ForCausalLM:
    """A DeepSeek-V3, whose choice of experts hangs on a buffer."""
    torch.manual_seed(0)
    config = DeepseekV3Config(
        vocab_size=VOCABULARY,
        hidden_size=32,
        intermediate_size=64,
        moe_intermediate_size=16,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=4,
        n_routed_experts=8,
        num_experts_per_tok=2,
        n_group=2,
        topk_group=1,
        first_k_dense_replace=1,
        kv_lora_rank=8,
        q_lora_rank=8,
        qk_rope_head_dim=8,
        qk_nope_head_dim=8,
        v_head_dim=8,
        n_shared_experts=1,
        max_position_embeddings=128,
        initializer_range=0.3,
    )
    model: Any = DeepseekV3ForCausalLM(config)
    model.model.layers[1].mlp.gate.e_score_correction_bias.copy_(torch.randn(8))
    model.generation_config = ENDS
    return model.eval()


def adapted(*targets: str, model=None):
    """A tied policy with LoRA on some layers that was trained for a while."""
    policy = add_lora(tied() if model is None else model, r=4, target_modules=list(targets))
    generator = torch.Generator().manual_seed(3)
    with torch.no_grad():
        for parameter in policy.parameters():
            if parameter.requires_grad:
                parameter.add_(torch.randn(parameter.shape, generator=generator) * 0.3)
    return policy.eval()


def logits(model):
    ids = torch.randint(0, VOCABULARY, (2, 20), generator=torch.Generator().manual_seed(5))
    with torch.no_grad():
        return model.eval()(ids).logits
