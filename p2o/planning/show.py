"""A plan as tables in the terminal."""

from rich.table import Table

from p2o.planning.advice import advise
from p2o.planning.memory import ALWAYS, MOMENTS
from p2o.planning.plan import Plan
from p2o.running.terminal import Terminal

WIDTH = 80


def print_plan(plan: Plan, console: Terminal | None = None) -> None:
    """Show memory, time, the verdict and what was assumed.

    Args:
        plan: What to show.
        console: Where; the terminal when left out, in 80 columns.
    """
    console = console or Terminal(width=WIDTH)
    console.print(_memory_table(plan))
    for line in verdict(plan):
        console.print(line)
    console.print(_time_table(plan))
    console.print(_run_line(plan))
    console.print(_disk_line(plan))
    console.print("An estimate on paper; docs/scaling.md has the formulas. Assumed:")
    for assumption in plan.assumptions:
        console.print(f"- {assumption}")


def gigabytes(size: float) -> str:
    """Bytes in GB, 10^9: three digits or all before the point."""
    return f"{size / 1e9:,.0f}" if size >= 1e11 else f"{size / 1e9:#.3g}".rstrip(".")


def duration(seconds: float) -> str:
    """Seconds in a unit that reads well."""
    for size, unit in ((3600, "h"), (60, "min")):
        if seconds >= 2 * size:
            return f"{number(seconds / size)} {unit}"
    return f"{number(seconds)} s"


def number(value: float) -> str:
    """Three digits, or all before the point."""
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


def verdict(plan: Plan) -> list[str]:
    """Whether the run fits, and if not, what would make it."""
    setup = plan.setup
    room = f"{gigabytes(setup.device.usable)} GB of {setup.device.name} that are usable"
    if plan.fits:
        return [f"fits: {gigabytes(plan.peak)} GB at most ({plan.peak_moment}), of {room}"]
    lines = []
    if plan.peak > setup.device.usable:
        lines.append(
            f"does not fit: {gigabytes(plan.peak)} GB ({plan.peak_moment}), more than the {room}"
        )
    if not plan.engine_fits:
        lines.append(
            f"does not fit: a share of {setup.engine.memory_share:g} of the device has no room for "
            "the engine's weights and one sequence"
        )
    batch = setup.batch
    if batch.mean_prompt_tokens + batch.mean_new_tokens < batch.longest:
        lines.append(f"with all rows of mean length: {gigabytes(plan.mean_peak)} GB")
    steps = advise(plan)
    if steps:
        most = max(steps, key=lambda step: step.saved)
        before, after = gigabytes(most.before.peak), gigabytes(most.plan.peak)
        lines.append(f"helps most: {most.change.setting}, from {before} to {after} GB")
    if steps and steps[-1].plan.fits:
        lines.append(f"fits with: {', '.join(step.change.setting for step in steps)}")
    else:
        servers = ", rollout=vllm_server" if setup.engine.kind == "vllm" else ""
        lines.append(f"no setting makes it fit: take more devices{servers} or a smaller model")
    return lines


def _memory_table(plan: Plan) -> Table:
    training = plan.setup.training
    table = Table(
        title=f"Memory of a device, of {training.ranks} ({plan.setup.device.name})",
        caption=(
            f"keys and values: {gigabytes(plan.sequence_cache)} GB for the longest sequence, "
            f"{gigabytes(plan.batch_cache)} GB for an engine's part of a batch"
        ),
        width=WIDTH,
    )
    table.add_column("")
    table.add_column("GB", justify="right")
    table.add_column("when")
    for item in plan.items:
        if item.bytes or item.moments == ALWAYS:
            when = "always" if item.moments == ALWAYS else ", ".join(_ordered(item.moments))
            table.add_row(item.name, gigabytes(item.bytes), when)
    table.add_section()
    for moment in MOMENTS:
        table.add_row("all" if moment == MOMENTS[0] else "", gigabytes(plan.at(moment)), moment)
    return table


def _ordered(moments: frozenset[str]) -> list[str]:
    return [moment for moment in MOMENTS if moment in moments]


def _time_table(plan: Plan) -> Table:
    table = Table(title="Time", width=WIDTH)
    table.add_column("")
    table.add_column("an optimiser step", justify="right")
    table.add_column("an epoch", justify="right")
    epoch = plan.training_seconds / plan.step_seconds
    for phase in plan.phases:
        if phase.seconds and phase.per == "step":
            table.add_row(phase.name, duration(phase.seconds), duration(phase.seconds * epoch))
        elif phase.seconds:
            table.add_row(phase.name, "", duration(phase.seconds))
    table.add_section()
    table.add_row("all", duration(plan.step_seconds), duration(plan.epoch_seconds))
    return table


def _disk_line(plan: Plan) -> str:
    size, number = plan.setup.training.checkpoint_bytes, plan.setup.schedule.checkpoints
    line = (
        f"{number} checkpoints of {gigabytes(size)} GB take {gigabytes(size * number)} GB of disk"
    )
    several = number > 3 and plan.setup.schedule.epochs > 1
    return line + "; checkpoint.save_top_k=1 keeps the last epoch's alone" * several


def _run_line(plan: Plan) -> str:
    schedule, setup = plan.setup.schedule, plan.setup
    unit = "GPU hours" if setup.device.is_gpu else "hours"
    return (
        f"{plan.steps:,} optimiser steps an epoch; {schedule.epochs} epochs take "
        f"{duration(plan.run_seconds)}, on {setup.devices} "
        f"{'device' if setup.devices == 1 else 'devices'} {number(plan.device_hours)} {unit}"
    )
