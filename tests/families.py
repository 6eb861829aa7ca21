"""A small random model of each family; whatever its configuration can make random is turned on."""

from typing import Any

import torch
from transformers import AutoConfig, AutoModelForCausalLM, GenerationConfig

from p2o.policy.adapters import add_lora

VOCABULARY = 97
LLAMA = {
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "max_position_embeddings": 64,
}
DYNAMIC = {"rope_type": "dynamic", "rope_theta": 100.0, "factor": 4.0}
"""Rotary frequencies that follow from the longest row of a pass."""
EXPERTS = {"num_experts": 4, "num_experts_per_tok": 2, "moe_intermediate_size": 16}
ROUTED = {**EXPERTS, "output_router_logits": True}
LOCAL = {"num_local_experts": 4, "num_experts_per_tok": 2, "output_router_logits": True}
DROPOUT = {"attention_dropout": 0.3}
RESIDUAL = {"resid_pdrop": 0.3, "embd_pdrop": 0.3}
GEMMA = {**LLAMA, "head_dim": 8}
MAMBA = {"hidden_size": 32, "num_hidden_layers": 2, "state_size": 4}
LINEAR = {
    "linear_num_value_heads": 4,
    "linear_num_key_heads": 2,
    "linear_key_head_dim": 8,
    "linear_value_head_dim": 8,
}

FAMILIES: dict[str, dict[str, Any]] = {
    "llama": {**LLAMA, **DROPOUT},
    "mistral": {**LLAMA, **DROPOUT, "sliding_window": 8},
    "mixtral": {**LLAMA, **DROPOUT, **LOCAL, "router_jitter_noise": 0.3},
    "qwen2": {**LLAMA, **DROPOUT},
    "qwen2_moe": {**LLAMA, **DROPOUT, **ROUTED, "shared_expert_intermediate_size": 16},
    "qwen3": {**LLAMA, **DROPOUT, "head_dim": 8},
    "qwen3_moe": {**LLAMA, **DROPOUT, **ROUTED, "head_dim": 8},
    "qwen3_next": {
        **LLAMA,
        **DROPOUT,
        **ROUTED,
        **LINEAR,
        "head_dim": 8,
        "shared_expert_intermediate_size": 16,
        "layer_types": ["linear_attention", "full_attention"],
    },
    "olmo2": {**LLAMA, **DROPOUT},
    "olmoe": {**LLAMA, **DROPOUT, **ROUTED},
    "phi": {**LLAMA, **DROPOUT, **RESIDUAL},
    "phi3": {**LLAMA, **DROPOUT, **RESIDUAL, "pad_token_id": 0},
    "phimoe": {
        **LLAMA,
        **DROPOUT,
        **LOCAL,
        "router_jitter_noise": 0.3,
        "input_jitter_noise": 0.3,
        "lm_head_bias": True,
    },
    "gemma": {**GEMMA, **DROPOUT},
    "gemma2": {**GEMMA, **DROPOUT, "final_logit_softcapping": 0.5, "sliding_window": 8},
    "gemma3_text": {**GEMMA, **DROPOUT, "sliding_window": 8},
    "gemma3": {
        "text_config": {**GEMMA, **DROPOUT, "sliding_window": 8, "vocab_size": VOCABULARY},
        "vision_config": {
            "hidden_size": 16,
            "intermediate_size": 16,
            "num_hidden_layers": 1,
            "num_attention_heads": 2,
            "image_size": 28,
            "patch_size": 14,
        },
        "mm_tokens_per_image": 4,
        "boi_token_index": 94,
        "eoi_token_index": 95,
        "image_token_index": 96,
    },
    "cohere": {**LLAMA, **DROPOUT, "logit_scale": 0.3},
    "granite": {
        **LLAMA,
        **DROPOUT,
        "logits_scaling": 3.0,
        "residual_multiplier": 0.7,
        "embedding_multiplier": 2.0,
    },
    "starcoder2": {**LLAMA, **DROPOUT, "residual_dropout": 0.3, "embedding_dropout": 0.3},
    "stablelm": {**LLAMA, **DROPOUT, "hidden_dropout": 0.3},
    "gpt2": {"n_embd": 32, "n_layer": 2, "n_head": 4, "n_positions": 64},
    "gpt_neox": {**LLAMA, **DROPOUT, "hidden_dropout": 0.3},
    "gpt_oss": {
        **LLAMA,
        **DROPOUT,
        **LOCAL,
        "head_dim": 8,
        "sliding_window": 8,
    },
    "opt": {
        "hidden_size": 32,
        "ffn_dim": 48,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "word_embed_proj_dim": 16,
        "max_position_embeddings": 64,
        "dropout": 0.3,
        "layerdrop": 0.3,
        **DROPOUT,
    },
    "falcon": {
        "hidden_size": 32,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "max_position_embeddings": 64,
        "hidden_dropout": 0.3,
        **DROPOUT,
    },
    "bloom": {
        "hidden_size": 32,
        "n_layer": 2,
        "n_head": 4,
        "hidden_dropout": 0.3,
        **DROPOUT,
    },
    "mpt": {
        "d_model": 32,
        "n_layers": 2,
        "n_heads": 4,
        "max_seq_len": 64,
        "expansion_ratio": 2,
        "resid_pdrop": 0.3,
        "emb_pdrop": 0.3,
    },
    "mamba": MAMBA,
    "deepseek_v3": {
        **LLAMA,
        **DROPOUT,
        "num_key_value_heads": 4,
        "n_routed_experts": 4,
        "num_experts_per_tok": 2,
        "n_group": 2,
        "topk_group": 1,
        "n_shared_experts": 1,
        "moe_intermediate_size": 16,
        "first_k_dense_replace": 1,
        "q_lora_rank": 8,
        "kv_lora_rank": 8,
        "qk_rope_head_dim": 4,
        "qk_nope_head_dim": 4,
        "v_head_dim": 8,
    },
    "lfm2": {**LLAMA, "layer_types": ["conv", "full_attention"]},
}
"""Configurations by transformers' ``model_type``."""


BY_KIND = sorted(FAMILIES, key=lambda name: name not in ("llama", "gemma3_text", "qwen3_next"))
"""Families; first those with full attention, with windows, and with linear attention."""


def longrope(trained_on: int, factor: float) -> dict[str, Any]:
    """Rotary frequencies that are others where a row is longer than what was trained on."""
    return {
        "rope_type": "longrope",
        "rope_theta": 100.0,
        "factor": factor,
        "short_factor": [1.0] * 4,
        "long_factor": [3.0] * 4,
        "original_max_position_embeddings": trained_on,
    }


def make_model(family: str, vocabulary: int = VOCABULARY, **more: Any) -> Any:
    """A random model in training mode, with weights large enough to tell tokens apart.

    Args:
        family: Its model type.
        vocabulary: Number of tokens.
        more: Fields of the configuration of its language model.
    """
    torch.manual_seed(0)
    ends = {"eos_token_id": 1, "bos_token_id": 2, "pad_token_id": 0}
    settings = {"vocab_size": vocabulary, **ends, **FAMILIES[family]}
    if "text_config" in settings:
        settings["text_config"] = {**settings["text_config"], **more}
    else:
        settings |= more
    config = AutoConfig.for_model(family, **settings)
    model = AutoModelForCausalLM.from_config(config, dtype=torch.float32)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.05 * torch.randn_like(parameter))
    model.generation_config = GenerationConfig(**ends)
    return model.train()


def with_lora(family: str, model: Any = None) -> Any:
    """A policy whose adapter was trained for a while."""
    policy = add_lora(model or make_model(family), r=2, alpha=4)
    generator = torch.Generator().manual_seed(3)
    with torch.no_grad():
        for parameter in policy.parameters():
            if parameter.requires_grad:
                parameter.add_(0.1 * torch.randn(parameter.shape, generator=generator))
    return policy
