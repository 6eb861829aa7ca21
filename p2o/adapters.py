"""Train a small adapter in place of the whole network, and save the policy either way."""

import copy
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from transformers import PreTrainedModel, PreTrainedTokenizerBase

from p2o.errors import UserError
from p2o.hints import Count


def add_lora(
    model: PreTrainedModel,
    r: Count = 16,
    alpha: Count = 32,
    target_modules: str | Sequence[str] = "all-linear",
) -> Any:
    """Put low-rank matrices beside the weights and leave only these to be trained.

    LoRA (https://arxiv.org/abs/2106.09685) by peft, without dropout: the policy that is updated
    must be the one sampled.

    Args:
        model: The loaded model; changed in place.
        r: Rank.
        alpha: The product of the matrices is scaled by `alpha / r`.
        target_modules: Names of the layers, or ``all-linear`` for all but the output head.

    Returns:
        The `peft.PeftModel`.

    Raises:
        UserError: peft is not installed.
    """
    try:
        from peft import LoraConfig, get_peft_model
    except ImportError as error:
        raise UserError("LoRA needs peft; 'pip install p2o-rl[lora]'") from error
    targets = target_modules if isinstance(target_modules, str) else list(target_modules)
    config = LoraConfig(
        task_type="CAUSAL_LM", r=r, lora_alpha=alpha, lora_dropout=0.0, target_modules=targets
    )
    return get_peft_model(model, config)


def save_policy(
    model: Any, tokenizer: PreTrainedTokenizerBase, folder: str | Path, merged: bool = True
) -> None:
    """Write a Hugging Face folder with the policy and its tokenizer.

    Merging is done on a copy, which needs the model's memory once more: taking an adapter out of
    the weights again would leave them rounded.

    Args:
        model: A transformers model, or one with an adapter of peft's.
        tokenizer: Its tokenizer.
        folder: Where to; made when it is not there.
        merged: Write plain weights with the adapter merged in, rather than the adapter alone. A
            model without an adapter is written whole either way.
    """
    adapted = hasattr(model, "merge_and_unload")
    if adapted and merged:
        copy.deepcopy(model).merge_and_unload().save_pretrained(folder)
    elif adapted:
        # Or peft asks the hub whether the embedding was resized.
        model.save_pretrained(str(folder), save_embedding_layers=False)
    else:
        model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
