"""``p2o-eval``: sample benchmarks with a policy, verify, report; goes on where it was stopped."""

import json
import sys
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch
from hydra.core.hydra_config import HydraConfig
from lightning.pytorch import seed_everything
from omegaconf import DictConfig

from p2o.cli.as_trained import as_trained
from p2o.cli.assembly import asked_suffix, assemble_rollout_parts, make_verifier
from p2o.cli.benchmarks import load_benchmarks
from p2o.cli.policies import configured_policy, trained_policy
from p2o.cli.program import expected_errors, place_setting, run_program
from p2o.cli.settings import EvalSettings
from p2o.configuration.sections import Takes
from p2o.configuration.validation import refuse, refuse_missing, section_problems
from p2o.data.selection import unusable_golds
from p2o.errors import UserError, located
from p2o.evaluation.benchmark import Benchmark
from p2o.evaluation.completions import (
    Completions,
    read_completions,
    read_settings,
    write_file,
)
from p2o.evaluation.rescore import differences_table, rescore
from p2o.evaluation.sampling import sample, with_room
from p2o.evaluation.summary import summarise, summary_table
from p2o.evaluation.templates import read_templates
from p2o.export.checkpoint import find_checkpoint
from p2o.export.run_directory import read_config, read_hydra
from p2o.export.weights import CheckpointWeights
from p2o.running.console import ended_by_interrupt, quieten_libraries
from p2o.running.preemption import handled_signals
from p2o.running.run_folder import RECORD, leave_nothing, record_configuration
from p2o.running.secrets import hide_in_run, plain_config
from p2o.running.terminal import Terminal, plain

CONFIG_NAME = "eval"
IDENTITY = ("model", "verifier", "renderer", "benchmarks", "checkpoint", "run", "template")
IDENTITY += ("template_mode", "limit", "chunk", "seed", "max_prompt_tokens", "max_new_tokens")
IDENTITY += ("environment",)
"""What results follow from; an engine is free to change between two starts."""
SOLVED_REWARD = "verifier_guard.solved_reward"
"""One more; nothing else of the guard changes a result."""
SHOWN = 10
"""Differences between two verifiers that are printed; all are in the file."""


def evaluate(config: DictConfig) -> dict[str, Any]:
    """Run one evaluation as configured.

    Returns:
        What ``results.json`` holds.

    Raises:
        UserError: Something cannot work; as far as can be known, before anything is sampled.
    """
    folder = Path(HydraConfig.get().runtime.output_dir)
    seed_everything(config.seed, verbose=False)
    benchmarks, missing = load_benchmarks(config)
    templates = read_templates(config.template, config.template_mode, config.seed)
    verifier = make_verifier(config)
    benchmarks = [_with_golds(benchmark, verifier.verifier) for benchmark in benchmarks]
    # Written out, so that completions and results say what was asked.
    config.renderer.suffix = asked_suffix(config)
    settings = plain_config(config)
    weights = _weights(config)
    identity = {key: settings[key] for key in IDENTITY}
    identity[SOLVED_REWARD] = verifier.solved_reward
    # A run may have gone on since, and last.ckpt be another one.
    identity |= {"updates": weights.updates} if weights else {}
    completions = Completions(folder, identity)
    model, tokenizer = _load_policy(config, weights)
    model = model.to("cuda" if torch.cuda.is_available() else "cpu").eval()
    runner = assemble_rollout_parts(
        config, model, tokenizer, verifier, config.max_prompt_tokens
    ).runner()
    benchmarks = with_room(benchmarks, runner)
    record_configuration(folder, config)
    sample(benchmarks, runner, templates, completions, config.chunk, config.seed)
    # Those of a benchmark that an earlier start had, and this one has not, do not count.
    rows = read_completions(folder, {benchmark.name for benchmark in benchmarks})
    results = {
        "benchmarks": summarise(rows),
        "not_evaluated": missing,
        "templates_too_long": sum(bool(row["crowded"]) for row in rows),
        "configuration": settings,
        "versions": {name: version(name) for name in ("p2o-rl", "torch", "transformers")},
    }
    write_file(folder / "results.json", f"{json.dumps(results, indent=2)}\n".encode())
    console = Terminal(width=80)
    console.print(summary_table(results["benchmarks"], missing))
    console.print(f"completions and results: {folder}", soft_wrap=True)
    return results


def _with_golds(benchmark: Benchmark, verifier: Any) -> Benchmark:
    """A benchmark without questions whose gold answer the verifier cannot use, if it drops these.

    Raises:
        UserError: It can use none.
    """
    with located("verifier"):
        bad = unusable_golds(benchmark.prompts, verifier)
    if len(bad) == len(benchmark.prompts):
        raise UserError(f"{benchmark.name}: verifier cannot use any gold answer ({bad[0][1]})")
    for prompt, reason in bad[:SHOWN]:
        line = plain(f"{benchmark.name}: question {prompt.id}: {reason}")
        print(line, file=sys.stderr)
    if not benchmark.drops_unusable:
        return benchmark
    unusable = {prompt.id for prompt, _ in bad}
    return replace(benchmark, prompts=[p for p in benchmark.prompts if p.id not in unusable])


def _weights(config: DictConfig) -> CheckpointWeights | None:
    """Those of a run's checkpoint; None where no run is evaluated."""
    if config.run is None:
        return None
    return CheckpointWeights.open(find_checkpoint(Path(config.run), config.checkpoint))


def _load_policy(config: DictConfig, weights: CheckpointWeights | None) -> tuple[Any, Any]:
    if weights is None:
        return configured_policy(config.model)
    run = Path(config.run)
    return trained_policy(read_config(run), read_hydra(run), weights)


def compare(config: DictConfig) -> None:
    """Score the completions of an evaluation again, and show what differs.

    What counts as solved is what counted there, unless the command line says otherwise.
    """
    folder = Path(config.rescore)
    if not _is_given(SOLVED_REWARD):
        before = read_settings(folder).get(SOLVED_REWARD, config.verifier_guard.solved_reward)
        config.verifier_guard.solved_reward = before
    counts, differences = rescore(folder, make_verifier(config))
    console = Terminal(width=80)
    console.print(differences_table(counts, differences))
    listed = [
        {
            "benchmark": d.row["benchmark"],
            "prompt_id": d.row["prompt_id"],
            "sample": d.row["sample"],
            "golds": d.row["golds"],
            "before": [d.row["reward"], d.row["status"], d.row["answer"]],
            "now": [d.score.reward, d.score.status.value, d.score.answer],
        }
        for d in differences
    ]
    for one in listed[:SHOWN]:
        console.print(json.dumps(one))
    output = Path(HydraConfig.get().runtime.output_dir) / "differences.json"
    write_file(output, f"{json.dumps(listed, indent=2)}\n".encode())
    console.print(f"all {len(listed)} differences: {output}", soft_wrap=True)


def _is_given(key: str) -> bool:
    """Whether the command line sets a key or what it stands in."""
    given = {each.lstrip("+").partition("=")[0] for each in HydraConfig.get().overrides.task}
    return any(key == each or key.startswith(f"{each}.") for each in given)


def _run(config: DictConfig) -> None:
    quieten_libraries()
    hide_in_run(config, HydraConfig.get())
    folder = Path(HydraConfig.get().runtime.output_dir)
    way_on = f"the same command with {place_setting(folder)} goes on"
    try:
        with expected_errors(way_on=way_on), handled_signals():
            _evaluate_or_compare(config)
    except SystemExit:
        # Why has been said, and there is nothing to go on from.
        if not (folder / RECORD).exists():
            leave_nothing(folder)
        raise


def _evaluate_or_compare(config: DictConfig) -> None:
    if config.run is not None and config.rescore is None:
        config = as_trained(config, HydraConfig.get().overrides.task)
    refuse_missing(
        config.benchmarks.get("held_out", {}).get("table", {}), "benchmarks.held_out.table"
    )
    refuse(section_problems(config, Takes(EvalSettings)))
    refuse_missing(config.rollout, "rollout")
    if config.rescore is None:
        evaluate(config)
    else:
        compare(config)


@ended_by_interrupt
def main() -> None:
    """Entry point of ``p2o-eval``."""
    run_program("p2o-eval", CONFIG_NAME, EvalSettings, _run)


if __name__ == "__main__":
    main()
