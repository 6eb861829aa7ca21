"""Which settings would make a run fit, tried out on paper."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial

from p2o.planning.plan import Plan, estimate
from p2o.planning.setup import Setup

LORA_RANK = 16
"""Of ``conf/model/adapter/lora.yaml``."""
WORTH = 0.01
"""Share of the peak that a change has to save to be named."""
LEAST_CHUNK = 256
"""Response tokens below which a chunk's logits are not cut further."""


@dataclass(frozen=True)
class Change:
    """A setting that may take less memory.

    Attributes:
        setting: As on the command line, or in words where no single key does it.
        apply: Makes of a run the same run with it.
        cost: 0 for what changes only how work is cut up, 1 for what takes time, 2 for what changes
            what is learned.
    """

    setting: str
    apply: Callable[[Setup], Setup]
    cost: int


@dataclass(frozen=True)
class Step:
    """A change that was taken.

    Attributes:
        change: Which.
        before: The plan without it.
        plan: The plan with it and those before it.
    """

    change: Change
    before: Plan
    plan: Plan

    @property
    def saved(self) -> float:
        """Bytes by which the peak is lower."""
        return self.before.peak - self.plan.peak


def advise(plan: Plan) -> list[Step]:
    """Changes that make a run fit, the cheap ones first; empty when it fits.

    One that takes time is looked at when no cheap one helps, and one that changes what is learned
    when no other does. What turns out not to be needed is left out again. The last step's plan
    tells whether it was enough.
    """
    steps: list[Step] = []
    while not _end(plan, steps).fits:
        best = _best(_end(plan, steps))
        if best is None:
            return steps
        steps.append(best)
    for step in reversed(steps):
        fewer = _redo(plan, [other.change for other in steps if other.change != step.change])
        if _end(plan, fewer).fits:
            steps = fewer
    return _redo(plan, sorted((step.change for step in steps), key=lambda change: change.cost))


def _end(plan: Plan, steps: Sequence[Step]) -> Plan:
    return steps[-1].plan if steps else plan


def _redo(plan: Plan, taken: Sequence[Change]) -> list[Step]:
    steps: list[Step] = []
    for change in taken:
        steps.append(_take(change, _end(plan, steps)))
    return steps


def _take(change: Change, plan: Plan) -> Step:
    return Step(change, plan, estimate(change.apply(plan.setup), plan.assumptions))


def _best(plan: Plan) -> Step | None:
    options = list(changes(plan.setup))
    for cost in range(3):
        tried = [_take(change, plan) for change in options if change.cost == cost]
        best = min(tried, key=lambda step: _excess(step.plan), default=None)
        if best is not None and _excess(best.plan) < _excess(plan) - WORTH * plan.peak:
            return best
    return None


def _excess(plan: Plan) -> float:
    """Bytes that are too many; an engine without room weighs as much as a whole device."""
    device = plan.setup.device
    return plan.peak - device.usable + (0.0 if plan.engine_fits else device.memory)


def changes(setup: Setup) -> Iterator[Change]:
    """All that could be changed about a run."""
    training = setup.training
    for name, values, apply in _cuts(setup):
        if not values:
            continue
        excesses = [_excess(estimate(apply(value, setup))) for value in values]
        # The smallest change that gets nearly all there is to get.
        enough = min(excesses) + WORTH * setup.device.memory
        value = next(v for v, excess in zip(values, excesses, strict=True) if excess <= enough)
        yield Change(f"{name}={value:g}", partial(apply, value), 0)
    if not training.checkpointing:
        yield Change("model.gradient_checkpointing=true", checkpointed, 1)
    if training.ranks > 1 and training.sharding == 1:
        kind = "" if training.compute == "float32" else f".compute_dtype={training.compute}"
        precision = kind and f" trainer.precision=32-true trainer.strategy{kind}"
        yield Change(f"trainer=fsdp2{precision}", sharded, 1)
    if training.trained == setup.shape.parameters:
        yield Change("model/adapter=lora model.dtype=bfloat16", with_lora, 2)


Cut = tuple[str, list[float], Callable[[float, Setup], Setup]]


def _cuts(setup: Setup) -> Iterator[Cut]:
    """Settings that are numbers: values to try, the least change first."""
    batch, engine = setup.batch, setup.engine
    yield "module.pass_tokens", _halvings(batch.pass_tokens, batch.longest), _pass_tokens
    yield "module.chunk_tokens", _halvings(batch.chunk_tokens, LEAST_CHUNK), _chunk
    if engine.kind == "hf":
        yield "rollout.max_batch_size", _halvings(engine.max_rows, 1), _max_rows
    if engine.kind == "vllm":
        shares = [percent / 100 for percent in range(90, 0, -5)]
        yield "rollout.memory_share", shares, _memory_share


def _pass_tokens(value: float, setup: Setup) -> Setup:
    return replace(setup, batch=replace(setup.batch, pass_tokens=int(value)))


def _chunk(value: float, setup: Setup) -> Setup:
    return replace(setup, batch=replace(setup.batch, chunk_tokens=int(value)))


def _max_rows(value: float, setup: Setup) -> Setup:
    return replace(setup, engine=replace(setup.engine, max_rows=int(value)))


def _memory_share(value: float, setup: Setup) -> Setup:
    return replace(setup, engine=replace(setup.engine, memory_share=value))


def _halvings(value: int, least: int) -> list[float]:
    halved: list[float] = []
    while value // 2 >= least:
        value //= 2
        halved.append(float(value))
    return halved


def checkpointed(setup: Setup) -> Setup:
    """The same run with layers computed again in the backward pass."""
    return replace(setup, training=replace(setup.training, checkpointing=True))


def sharded(setup: Setup) -> Setup:
    """The same run with weights, gradients and optimiser state shared out over all ranks.

    With FSDP's own mixed precision in place of autocast, which would keep a cast copy.
    """
    training = setup.training
    stream = training.compute_bytes if training.autocast else training.stream_bytes
    changed = replace(training, sharding=training.ranks, autocast=False, stream_bytes=stream)
    return replace(setup, training=changed)


def with_lora(setup: Setup) -> Setup:
    """The same run with low-rank matrices in float32 trained beside frozen weights in bfloat16."""
    training = replace(
        setup.training,
        trained=setup.shape.lora_parameters(LORA_RANK),
        trained_bytes=4.0,
        frozen_bytes=2.0 * setup.shape.parameters,
        optimizer_bytes=8.0,
        compute="bfloat16",
        compute_bytes=2.0,
        stream_bytes=2.0,
        autocast=False,
    )
    engine = replace(setup.engine, compute="bfloat16", number_bytes=2.0)
    return replace(setup, training=training, engine=engine)
