"""``python -m benchmarks.random_model FOLDER LAYERS WIDTH OUTPUT``: a model of random weights.

Its layers are shaped like SmolLM2-135M's; tokens and tokenizer are the embedded policy's.
"""

import json
import sys
from pathlib import Path
from typing import Any

from transformers import LlamaConfig, LlamaForCausalLM

from benchmarks.work import EMBEDDED
from p2o.policy.models import load_policy

HEAD = 64
"""Width of an attention head."""

if __name__ == "__main__":
    folder, layers, width, output = sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), sys.argv[4]
    embedded, tokenizer = load_policy(EMBEDDED)
    tokens: Any = tokenizer
    model = LlamaForCausalLM(
        LlamaConfig(
            vocab_size=embedded.config.vocab_size,
            hidden_size=width,
            intermediate_size=width * 8 // 3,
            num_hidden_layers=layers,
            num_attention_heads=width // HEAD,
            num_key_value_heads=max(1, width // HEAD // 3),
            max_position_embeddings=8192,
            tie_word_embeddings=True,
            bos_token_id=None,
            eos_token_id=tokens.eos_token_id,
            pad_token_id=tokens.pad_token_id,
        )
    )
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    Path(output).write_text(json.dumps({"parameters": model.num_parameters()}))
