"""Train a small adapter in place of the whole network, and save the policy either way."""

import copy
import re
import tempfile
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

from pydantic import AfterValidator
from torch import Tensor, nn
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from p2o.constraints import Count, Size
from p2o.errors import UserError
from p2o.policy.generation import savable
from p2o.policy.likeness import Likeness, attention_on_cpu, likeness
from p2o.running.files import is_disk_full

STALE = ("model*.safetensors*", "pytorch_model*", "adapter_*")
"""What ``from_pretrained`` might take from an overwritten folder in place of the new weights."""


def _is_pattern(text: str) -> str:
    try:
        re.compile(text)
    except re.error as error:
        raise ValueError(str(error)) from error
    return text


Pattern = Annotated[str, AfterValidator(_is_pattern), "that is a regular expression"]


def add_lora(
    model: PreTrainedModel,
    r: Size = 16,
    alpha: Count = 32,
    target_modules: Pattern | Sequence[str] = "all-linear",
) -> Any:
    """Put low-rank matrices beside the weights and leave only these to be trained.

    LoRA (https://arxiv.org/abs/2106.09685) by peft, without dropout: the policy that is updated
    must be the one sampled.

    Args:
        model: The loaded model; changed in place.
        r: Rank.
        alpha: The product of the matrices is scaled by `alpha / r`.
        target_modules: Names of the layers, or ``all-linear`` for all but the output head and
            routers that return more than scores. An embedding or a head that share their weights
            do so no more when one of them is named. The experts of a layer are one tensor, which
            is adapted in those models that peft knows; docs/algorithms.md names some.

    Returns:
        The `peft.PeftModel`.

    Raises:
        UserError: peft is not installed.
    """
    try:
        from peft import LoraConfig, get_peft_model
    except ImportError as error:
        raise UserError("LoRA needs peft; 'pip install peft'") from error
    targets = target_modules if isinstance(target_modules, str) else list(target_modules)
    config = LoraConfig(
        task_type="CAUSAL_LM",
        r=r,
        lora_alpha=alpha,
        lora_dropout=0.0,
        target_modules=targets,
        exclude_modules=_several_outputs(model) if targets == "all-linear" else None,
    )
    with quiet_peft():
        adapted = get_peft_model(model, config)
    _untie_adapted(adapted)
    return adapted


@contextmanager
def quiet_peft() -> Iterator[None]:
    """Leave out what peft warns of without need while it puts an adapter on a model."""
    with warnings.catch_warnings():
        # That a tied layer is adapted: its head is given weights of its own.
        warnings.filterwarnings("ignore", message=".*tie_word_embeddings")
        # Peft looks for the ranks of experts, which it has just set itself, among layers alone.
        warnings.filterwarnings("ignore", message=".*(rank|alpha)_pattern keys did not match")
        yield


def merge_adapter(adapted: Any) -> Any:
    """The plain model with an adapter of peft's merged into its weights, in place.

    Raises:
        UserError: It would be another policy.
    """
    before = likeness(adapted)
    _untie_adapted(adapted)
    merged = adapted.merge_and_unload()
    before.check(likeness(merged), "the adapter's merged weights")
    return merged


def save_policy(
    model: Any,
    tokenizer: PreTrainedTokenizerBase,
    folder: str | Path,
    merged: bool = True,
    policy: Likeness | None = None,
) -> list[str]:
    """Write a Hugging Face folder with the policy and its tokenizer; returns the files.

    Merging is done on a copy, which needs the model's memory once more: taking an adapter out of
    the weights again would leave them rounded. What was written is read again and compared with
    the policy before it takes the place of what is there.

    Args:
        model: A transformers model, or one with an adapter of peft's.
        tokenizer: Its tokenizer.
        folder: Where to; made when it is not there. Files that belong to no model stay.
        merged: Write plain weights with the adapter merged in, rather than the adapter alone. A
            model without an adapter is written whole either way.
        policy: How the policy scores the fixed tokens; None when that is `model` itself.

    Raises:
        UserError: Transformers cannot save it, or what it saves is not the policy.
    """
    policy = policy or likeness(model)
    adapted = hasattr(model, "merge_and_unload")
    with _written_aside(Path(folder)) as unfinished:
        try:
            if adapted and not merged:
                # Or peft asks the hub whether the embedding was resized.
                model.save_pretrained(str(unfinished), save_embedding_layers=False)
                written = _read_adapter(model, unfinished)
            else:
                whole = merge_adapter(copy.deepcopy(model)) if adapted else model
                written = _write_whole(whole, unfinished)
            tokenizer.save_pretrained(unfinished)
        except (ValueError, TypeError, RuntimeError) as error:
            if is_disk_full(error):
                raise
            first = (str(error).splitlines() or [type(error).__name__])[0]
            raise UserError(f"{folder}: the policy cannot be saved ({first})") from error
        policy.check(written, f"{folder}: the saved weights")
        files = [path for path in unfinished.rglob("*") if path.is_file()]
        return sorted(path.relative_to(unfinished).as_posix() for path in files)


def _write_whole(model: Any, folder: Path) -> Likeness:
    kept, model.generation_config = model.generation_config, savable(model.generation_config)
    model.save_pretrained(folder)
    model.generation_config = kept
    attention = attention_on_cpu(model.config)
    return likeness(type(model).from_pretrained(folder, attn_implementation=attention))


def _read_adapter(model: Any, folder: Path) -> Likeness:
    from peft import PeftModel

    # On the base as it is, without asking where its files are.
    with quiet_peft():
        read = PeftModel.from_pretrained(copy.deepcopy(model).unload(), str(folder))
    return likeness(read)


def _several_outputs(model: PreTrainedModel) -> list[str]:
    """Linear layers, such as routers, that return more than a tensor: peft adds to a tensor."""
    found = set()
    own = {
        name: layer
        for name, layer in model.named_modules()
        if isinstance(layer, nn.Linear) and type(layer).forward is not nn.Linear.forward
    }
    hooks = [
        layer.register_forward_hook(
            lambda _layer, _inputs, output, name=name: (
                None if isinstance(output, Tensor) else found.add(name)
            )
        )
        for name, layer in own.items()
    ]
    if own:
        likeness(model)
    for hook in hooks:
        hook.remove()
    return sorted(found)


def _untie_adapted(adapted: Any) -> None:
    """Give the head weights of its own where an adapter makes it differ from the embeddings.

    Merged into weights that both share, what the adapter does to one would be done to the other.
    """
    model = adapted.get_base_model()
    embeddings, head = map(
        _below_adapter, (model.get_input_embeddings(), model.get_output_embeddings())
    )
    if embeddings is model.get_input_embeddings() and head is model.get_output_embeddings():
        return
    if head.weight is embeddings.weight:
        own = head.weight.detach().clone()
        head.weight = nn.Parameter(own, requires_grad=head.weight.requires_grad)
    model.config.get_text_config().tie_word_embeddings = False
    model.config.tie_word_embeddings = False
    model.all_tied_weights_keys = model.get_expanded_tied_weights_keys(all_submodels=True)


def _below_adapter(part: Any) -> Any:
    return getattr(part, "base_layer", getattr(part, "original_module", part))


@contextmanager
def _written_aside(folder: Path) -> Iterator[Path]:
    """A folder beside another one, whose files move there when all went well."""
    folder.resolve().parent.mkdir(parents=True, exist_ok=True)
    aside = folder.resolve().parent
    with tempfile.TemporaryDirectory(dir=aside, prefix=f".{folder.name}_unfinished_") as unfinished:
        yield Path(unfinished)
        _readable_alike(Path(unfinished))
        folder.mkdir(exist_ok=True)
        for pattern in STALE:
            for path in folder.glob(pattern):
                path.unlink()
        for path in Path(unfinished).rglob("*"):
            if path.is_file():
                moved = folder / path.relative_to(unfinished)
                moved.parent.mkdir(parents=True, exist_ok=True)
                path.replace(moved)


def _readable_alike(folder: Path) -> None:
    """Let weights be read by those who may read the rest: safetensors keeps them to the owner."""
    modes = [path.stat().st_mode for path in folder.glob("*.json")]
    for path in folder.glob("*.safetensors") if modes else ():
        path.chmod(modes[0])
