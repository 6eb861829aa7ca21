"""``python -m p2o.cli.plan``: the tables of docs/scaling.md, as markdown."""

from collections.abc import Iterator

from p2o.planning.devices import DEVICES, Device
from p2o.planning.examples import first_that_fits, shapes
from p2o.planning.memory import MOMENTS
from p2o.planning.plan import Plan
from p2o.planning.show import duration, gigabytes, number

DEVICE_COUNTS = (1, 8, 64)
PUBLISHED = "Qwen3-4B", 8


def markdown() -> str:
    """All tables, under a heading each."""
    published = first_that_fits(shapes()[PUBLISHED[0]], PUBLISHED[1])
    if published is None:
        raise AssertionError("the published setting has to fit to be shown")
    name, devices = PUBLISHED
    tables = {
        "Models and numbers of GPUs": _grid(),
        f"{name} on {devices} GPUs, GB of one": _memory(published),
        f"{name} on {devices} GPUs, time": _time(published),
        "Devices": _devices(),
    }
    return "\n".join(f"### {title}\n\n" + "\n".join(rows) + "\n" for title, rows in tables.items())


def _grid() -> Iterator[str]:
    yield from _header(
        "model",
        "GPUs",
        "trained",
        "weights",
        "layers again",
        "engine",
        "GB a device",
        "a step",
        "an epoch",
        "GPU hours, 10 epochs",
    )
    for name, shape in shapes().items():
        for devices in DEVICE_COUNTS:
            yield _row(name, str(devices), *_grid_cells(first_that_fits(shape, devices)))


def _grid_cells(plan: Plan | None) -> list[str]:
    if plan is None:
        return ["does not fit", *["-"] * 7]
    setup = plan.setup
    training, engine = setup.training, setup.engine
    where = (
        f"vLLM, {engine.memory_share:g} of each"
        if engine.kind == "vllm"
        else f"{engine.servers} × {engine.devices_per_server} GPUs of vLLM"
    )
    return [
        "all" if training.trained == setup.shape.parameters else "LoRA",
        "whole" if training.sharding == 1 else f"in {training.sharding} shards",
        "yes" if training.checkpointing else "no",
        where,
        gigabytes(plan.peak),
        duration(plan.step_seconds),
        duration(plan.epoch_seconds),
        number(plan.device_hours),
    ]


def _memory(plan: Plan) -> Iterator[str]:
    yield from _header("", *MOMENTS)
    for item in plan.items:
        if item.bytes:
            cells = [gigabytes(item.bytes) if m in item.moments else "" for m in MOMENTS]
            yield _row(item.name, *cells)
    yield _row("**all**", *(f"**{gigabytes(plan.at(moment))}**" for moment in MOMENTS))


def _time(plan: Plan) -> Iterator[str]:
    yield from _header("", "an optimiser step", "an epoch")
    epoch = plan.training_seconds / plan.step_seconds
    for phase in plan.phases:
        step = phase.seconds if phase.per == "step" else None
        whole = phase.seconds if step is None else phase.seconds * epoch
        yield _row(phase.name, "" if step is None else duration(step), duration(whole))
    yield _row("**all**", duration(plan.step_seconds), duration(plan.epoch_seconds))


def _devices() -> Iterator[str]:
    yield from _header(
        "`planning.device`", "", "GB", "TFLOP/s", "memory, TB/s", "link, GB/s", "source"
    )
    for key, device in DEVICES.items():
        yield _row(f"`{key}`", device.name, *_device_cells(device))


def _device_cells(device: Device) -> list[str]:
    return [
        f"{device.memory / 1e9:g}",
        f"{device.rate('bfloat16') / 1e12:.4g}",
        f"{device.bandwidth / 1e12:.4g}",
        f"{device.link / 1e9:g}, {device.network / 1e9:g}" if device.is_gpu else "-",
        device.source,
    ]


def _header(*cells: str) -> Iterator[str]:
    yield _row(*cells)
    yield _row(*(["---"] * len(cells)))


def _row(*cells: str) -> str:
    return f"| {' | '.join(cells)} |"


if __name__ == "__main__":
    print(markdown(), end="")
