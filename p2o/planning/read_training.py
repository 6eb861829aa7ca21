"""How a configuration trains: types of numbers, optimiser, sharding."""

from collections.abc import Sequence
from typing import Any

import torch

from p2o.configuration.build import build
from p2o.errors import UserError
from p2o.planning.devices import Device
from p2o.planning.settings_reader import Reader
from p2o.planning.setup import TrainingSetup
from p2o.planning.shape import ModelShape

MIXED = {"bf16-mixed": "bfloat16", "16-mixed": "float16"}
"""Lightning's precisions that cast for products, and to what."""
CONVERTED = {"bf16-true": "bfloat16", "16-true": "float16"}
"""Those that convert the weights themselves."""


def read_dtype(reader: Reader) -> torch.dtype:
    """Torch type in which weights are kept.

    Raises:
        UserError: There is no such type.
    """
    name = CONVERTED.get(_precision(reader), str(reader.get("model.dtype", "float32")))
    dtype = getattr(torch, name, None)
    if not isinstance(dtype, torch.dtype):
        raise UserError(f"model.dtype={name}: give a torch type such as float32 or bfloat16")
    return dtype


def read_training(
    reader: Reader, model: Any, shape: ModelShape, dtype: torch.dtype, device: Device
) -> TrainingSetup:
    """How the weights are kept and trained.

    Args:
        reader: Of the configuration.
        model: On the meta device; an adapter is added to it.
        shape: Of the model as it was.
        dtype: Of its weights.
        device: Which one rank has.
    """
    ranks = _ranks(reader)
    sharding, casts_whole = _sharding(reader, ranks)
    adapter = build(reader.get("model.adapter"), "model.adapter")
    if adapter is not None:
        model = adapter(model)
        reader.assume("an adapter's own activations are not counted")
    trained = [p for p in model.parameters() if p.requires_grad]
    frozen = [p for p in model.parameters() if not p.requires_grad]
    count = sum(p.numel() for p in trained)
    number = _bytes(trained) / count
    mixed = MIXED.get(_precision(reader)) if dtype.itemsize > 2 else None
    gathered = _strategy_key(reader, "compute_dtype", None)
    compute = gathered or mixed or str(dtype).removeprefix("torch.")
    compute_bytes = float(getattr(torch, compute).itemsize)
    autocast = mixed is not None and casts_whole and not gathered
    state, scratch = _optimizer(reader, shape, count, number, device)
    return TrainingSetup(
        trained=count,
        trained_bytes=number,
        frozen_bytes=_bytes(frozen),
        optimizer_bytes=state,
        scratch_bytes=scratch,
        compute=compute,
        compute_bytes=compute_bytes,
        stream_bytes=float(dtype.itemsize) if autocast else compute_bytes,
        autocast=autocast,
        checkpointing=bool(reader.get("model.gradient_checkpointing")),
        attention=str(reader.get("model.attention", "sdpa")),
        ranks=ranks,
        sharding=sharding,
        bucket_copies=not _strategy_key(reader, "gradient_as_bucket_view", False),
        frozen_copies=_frozen_copies(reader, adapter is not None),
    )


def _precision(reader: Reader) -> str:
    return str(reader.get("trainer.precision", "32-true"))


def _bytes(parameters: Sequence[torch.nn.Parameter]) -> float:
    return float(sum(p.numel() * p.element_size() for p in parameters))


def _ranks(reader: Reader) -> int:
    devices = reader.get("trainer.devices", 1)
    if isinstance(devices, str) and devices.isdecimal():
        devices = int(devices)
    if isinstance(devices, Sequence) and not isinstance(devices, str):
        devices = len(devices)
    if not isinstance(devices, int) or devices < 1:
        reader.assume(f"trainer.devices={devices} is one device a node")
        devices = 1
    return devices * int(reader.get("trainer.num_nodes", 1))


def _strategy_key(reader: Reader, key: str, default: Any) -> Any:
    strategy = reader.get("trainer.strategy")
    return default if isinstance(strategy, str) else reader.get(f"trainer.strategy.{key}", default)


def _sharding(reader: Reader, ranks: int) -> tuple[int, bool]:
    """Over how many ranks weights are shared out, and whether autocast casts whole ones.

    Lightning's FSDPStrategy casts shards before it puts them together. Under FSDP2 mixed precision
    is autocast, which keeps what it has cast until the forward pass ends.
    """
    strategy = reader.get("trainer.strategy", "auto")
    name = strategy if isinstance(strategy, str) else str(_strategy_key(reader, "_target_", ""))
    kind = name.lower()
    if "fullysharded" in kind:
        return ranks, True
    if "fsdp" in kind:
        return ranks, False
    if not any(known in kind for known in ("auto", "ddp", "single")):
        reader.assume(f"trainer.strategy={name} keeps a whole copy on each device")
    return 1, True


def _frozen_copies(reader: Reader, adapted: bool) -> int:
    """The reference policy, and the initial policy where it writes templates."""
    copies = int(reader.get("reference") is not None and not adapted)
    reflects = str(reader.get("reflection._target_", "")).endswith("SelfReflection")
    shared = str(reader.get("rollout._target_", "")).endswith("HFEngine")
    return copies + int(reflects and shared and reader.get("evolution") is not None)


def _optimizer(
    reader: Reader, shape: ModelShape, trained: int, number: float, device: Device
) -> tuple[float, float]:
    """Bytes of state, and of an update's scratch, for a trained parameter."""
    matrices = min(shape.matrices / trained, 1.0)
    # On a GPU torch's AdamW takes the square roots of all second moments at once.
    scratch = number if device.is_gpu else 0.0
    states = {
        "torch.optim.AdamW": (2 * number, scratch),
        "torch.optim.SGD": (number if reader.get("optimizer.momentum") else 0.0, 0.0),
        "p2o.policy.optimizers.muon": ((2 - matrices) * number, (1 - matrices) * scratch),
        # A byte a number, and a float32 scale for each block of 256.
        "p2o.policy.optimizers.adamw_8bit": (2 * (1 + 4 / 256), 0.0),
        "p2o.policy.optimizers.lion": (number, 0.0),
    }
    target = str(reader.get("optimizer._target_"))
    if target not in states:
        reader.assume(f"{target} keeps as much as AdamW")
    return states.get(target, states["torch.optim.AdamW"])
