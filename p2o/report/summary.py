"""What a run says at its end: ``summary.json`` and a table."""

import json
import shlex
import sys
from collections.abc import Iterable, Mapping, Sequence
from importlib.metadata import version
from pathlib import Path
from shutil import which
from typing import Any

from omegaconf import DictConfig
from rich.table import Table

from p2o.learning.datamodule import RolloutDataModule
from p2o.learning.metrics import MEAN_REWARD, partial_reward
from p2o.policy.models import EMBEDDED
from p2o.records.labels import how_asked, in_words
from p2o.report.found import found_templates
from p2o.running.distributed import rank
from p2o.running.files import written_whole
from p2o.running.secrets import plain_config
from p2o.running.terminal import Terminal, plain
from p2o_callbacks import HardSampleMiner, PromptEvolution, PromptPool

VERSIONED = ("p2o-rl", "torch", "transformers", "lightning", "gepa")
"""Packages whose versions are kept with a run."""
MOST_TEMPLATES = 8
"""Templates that the final table shows; all are in ``summary.json``."""


def write_summary(
    directory: Path,
    config: DictConfig,
    data: RolloutDataModule,
    callbacks: Sequence[Any],
    collapse: Exception | None = None,
) -> dict[str, Any]:
    """Collect what came of a run and write ``summary.json``.

    Accuracies are shares of responses that are solved; ``reward`` is the mean reward of the same
    responses, which is higher where a response earns a part of it. What is called ``after`` is of
    the last evaluation, ``measured_at`` so many of all ``updates``: a guard may have stopped the
    run within an epoch.

    Args:
        directory: Of the run.
        config: Of the run.
        data: Its data module, after training.
        callbacks: Its callbacks.
        collapse: What stopped it before its end, if anything did.
    """
    before, after = data.evaluation.untrained, data.evaluation.latest
    hard = [prompt_id for prompt_id in after if data.evaluation.is_hard(prompt_id)]
    miner = next((c for c in callbacks if isinstance(c, HardSampleMiner)), None)
    evolution = next((c for c in callbacks if isinstance(c, PromptEvolution)), None)
    pool = evolution.pool if evolution else PromptPool()
    summary = {
        "accuracy": {"before": _mean(before.values()), "after": _mean(after.values())},
        "hard_accuracy": {
            "before": _mean(before[prompt_id] for prompt_id in hard),
            "after": _mean(after[prompt_id] for prompt_id in hard),
        },
        "reward": dict(data.evaluation.rewards),
        "accuracy_by_source": _by_source(data, before, after),
        "collapse": None if collapse is None else str(collapse),
        "updates": data.evaluation.updates(),
        "measured_at": data.evaluation.measured_at,
        "held_out": len(after),
        "held_out_hard": len(hard),
        "hard_set": len(miner.hard_set) if miner else None,
        "templates": [
            {"text": pool.templates[index].label, "score": pool.templates[index].score}
            for index in pool.in_use
        ],
        # Of no use to the other ranks, who do not write it.
        "found": found_templates(directory, data.loader.prompts) if rank() == 0 else [],
        "training_rollouts": data.ledger.training_rollouts,
        "ledger": data.ledger.state_dict(),
        "versions": {name: version(name) for name in VERSIONED},
        "config": plain_config(config),
    }
    if rank() == 0:
        with written_whole(directory / "summary.json", "w", encoding="utf-8") as file:
            file.write(json.dumps(summary, indent=2) + "\n")
    return summary


def _by_source(
    data: RolloutDataModule, before: Mapping[str, float], after: Mapping[str, float]
) -> dict[str, dict[str, float | None]]:
    """Accuracies of each source's held-out prompts, where there are several sources."""
    ids: dict[str, list[str]] = {}
    for prompt in data.evaluation.prompts:
        if prompt.source and prompt.id in after:
            ids.setdefault(prompt.source, []).append(prompt.id)
    return {
        source: {
            "held_out": len(own),
            "before": _mean(before[prompt_id] for prompt_id in own),
            "after": _mean(after[prompt_id] for prompt_id in own),
        }
        for source, own in ids.items()
    }


def print_report(summary: dict[str, Any], directory: Path) -> None:
    """Show accuracies, spending and the templates in use."""
    console = Terminal()
    asked = how_asked(summary.get("config") or {}, "template")
    accuracy = Table(title=f"Accuracy {asked}")
    for column in ("held-out problems", "number", "before", "after"):
        accuracy.add_column(column, justify="left" if column.startswith("held") else "right")
    for label, key, number in (
        ("all", "accuracy", "held_out"),
        ("hard: none right before", "hard_accuracy", "held_out_hard"),
    ):
        values = summary[key]
        accuracy.add_row(
            label, str(summary[number]), _percent(values["before"]), _percent(values["after"])
        )
    for source, values in summary["accuracy_by_source"].items():
        cells = (str(values["held_out"]), _percent(values["before"]), _percent(values["after"]))
        accuracy.add_row(f"of {plain(source)}", *cells)
    if reward := partial_reward(summary):
        cells = (str(summary["held_out"]), _number(reward["before"]), _number(reward["after"]))
        accuracy.add_row(MEAN_REWARD, *cells)
    console.print(accuracy)
    console.print(spending_table(summary["ledger"]))
    if summary["templates"]:
        templates = Table(title="Templates in use at the end")
        templates.add_column("dev score", justify="right")
        templates.add_column("template")
        for template in summary["templates"][:MOST_TEMPLATES]:
            score = template["score"]
            said = in_words(template["text"])
            templates.add_row("-" if score is None else f"{score:.2f}", said)
        if len(summary["templates"]) > MOST_TEMPLATES:
            templates.add_row("", f"and {len(summary['templates']) - MOST_TEMPLATES} more")
        console.print(templates)
    if summary.get("found"):
        console.print(_found_table(summary["found"]))
    console.print(f"run directory: {directory}", soft_wrap=True)


def print_ways_on(summary: dict[str, Any], directory: Path) -> None:
    """Show what may be done after a run."""
    console = Terminal()
    for command, what in next_commands(summary, directory):
        console.print(f"next: {as_found_here(command):<40}  {what}", soft_wrap=True)


def as_found_here(command: str) -> str:
    """A command of p2o with the folder of its program, where a shell would not find it.

    That is so where an environment is used that is not activated, as ``make demo`` does.
    """
    program, _, rest = command.partition(" ")
    beside = Path(sys.executable).with_name(program)
    if which(program) or not beside.exists():
        return command
    near = beside.relative_to(Path.cwd()) if beside.is_relative_to(Path.cwd()) else beside
    return f"{shlex.quote(str(near))} {rest}"


def _found_table(found: Sequence[Mapping[str, Any]]) -> Table:
    table = Table(title="The template that solved most")
    table.add_column("problems")
    table.add_column("solved", justify="right")
    table.add_column("template")
    for one in found:
        solved = f"{one['solved']} of {one['tried']}"
        table.add_row(plain(one["kind"]), solved, one["template"])
    return table


def next_commands(summary: Mapping[str, Any], directory: Path) -> list[tuple[str, str]]:
    """What may be done after a run: a command, and what it does.

    Args:
        summary: Of the run.
        directory: Of the run.
    """
    config = summary.get("config") or {}
    model = config.get("model", {}).get("path", "")
    source = config.get("data", {}).get("source", {}).get("_target_", "")
    folder = shlex.quote(str(directory))
    ways = [(f"p2o-export {folder}", "a Hugging Face folder with a model card")]
    if str(source).endswith("DigitLists") and config.get("evolution"):
        ways.append(("p2o-train experiment=grpo", "the embedded world without templates"))
    if str(model).startswith(EMBEDDED):
        what = "a real model: what it would take; needs the hub"
        ways.append(("p2o-train experiment=gsm8k plan=true", what))
    return ways


def spending_table(ledger: dict[str, dict[str, float]]) -> Table:
    """The ledger, phases as columns."""
    table = Table(title="What was spent")
    table.add_column("")
    phases = list(ledger)
    for name in [*phases, "all"]:
        table.add_column(name, justify="right")
    for counter in ledger[phases[0]]:
        values = [ledger[phase][counter] for phase in phases]
        if any(values):
            cells = [f"{value:,.0f}" for value in [*values, sum(values)]]
            table.add_row(counter.replace("_", " "), *cells)
    return table


def _mean(values: Iterable[float]) -> float | None:
    numbers = list(values)
    return sum(numbers) / len(numbers) if numbers else None


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.3f}"


def _percent(value: float | None) -> str:
    return "-" if value is None else f"{value:.1%}"
