"""The work of ``p2o-doctor``: a few rollouts without training, and what they say."""

import argparse
import json
import logging
import random
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from lightning.pytorch import seed_everything
from omegaconf import DictConfig

from p2o.cli.advice import Settings, advise
from p2o.cli.arguments.doctor import parser
from p2o.cli.assembly import RolloutParts, asked_suffix, assemble_rollout_parts, make_verifier
from p2o.cli.data import compose_run
from p2o.cli.diagnosis_tables import WIDTH, print_diagnosis, print_plan
from p2o.cli.policies import configured_policy
from p2o.cli.preparation import prepare
from p2o.cli.program import expected_errors
from p2o.cli.rehearsal import check_phrasebook
from p2o.cli.sampling import check_room
from p2o.configuration.build import build
from p2o.configuration.validation import refuse_missing
from p2o.errors import UserError, located
from p2o.evaluation.diagnosis import SIZES, Diagnosis, HintTrial, Spending, TriedProblem
from p2o.evaluation.diagnosis_file import as_json
from p2o.evaluation.hints_at_hand import hints_at_hand
from p2o.prompt import Prompt
from p2o.rollout.engine import SamplingParameters
from p2o.rollout.runner import RolloutRunner
from p2o.running.console import ended_by_interrupt, quieten_libraries
from p2o.running.counted import counted
from p2o.running.seeds import derive_seed
from p2o.running.terminal import Terminal

CHUNK = 64
"""Rollouts in one engine call."""


def examine(config: DictConfig, spending: Spending, console: Terminal) -> Diagnosis:
    """Sample, try hints, and say beforehand how much that is.

    Args:
        config: Of ``p2o-train``.
        spending: What may be spent.
        console: Where to say it.

    Raises:
        UserError: A part cannot be had, or refuses what it is given.
    """
    seed_everything(config.seed, verbose=False)
    verifier = make_verifier(config)
    sampling = build(config.sampling.train, "sampling.train")
    refuse_missing(config.rollout, "rollout")
    reflection = build(config.reflection, "reflection") if spending.hints else None
    check_phrasebook(reflection, str(config.model.path))
    print_plan(spending, sampling.max_new_tokens, console)
    model, tokenizer = configured_policy(config.model)
    model = model.to("cuda" if torch.cuda.is_available() else "cpu").eval()
    sampler = assemble_rollout_parts(
        config, model, tokenizer, verifier, config.data.max_prompt_tokens
    )
    runner = sampler.runner()
    check_room(config, "train", getattr(sampler.engine, "max_length", None))
    prompts = _draw(config, sampler, spending.problems)
    problems = _roll_out_bare(prompts, runner, sampling, spending.samples, config.seed)
    diagnosis = Diagnosis(problems)
    if reflection is None or not diagnosis.unsolved:
        return diagnosis
    with located("reflection"):
        reflection.bind(sampler.engine, sampler.renderer)
        hints = hints_at_hand(reflection, diagnosis.unsolved, spending.hints, config.seed)
    trials = _try_hints(hints, diagnosis, runner, sampling, spending.tries, config.seed)
    return Diagnosis(problems, trials)


def _draw(config: DictConfig, sampler: RolloutParts, number: int) -> list[Prompt]:
    """Training prompts, drawn by the run's seed."""
    train = prepare(config, sampler.renderer, sampler.verifier.verifier).train
    if not train:
        raise UserError("data.source: there are no training prompts to look at")
    return random.Random(derive_seed(config.seed, "doctor")).sample(
        list(train), min(number, len(train))
    )


def _roll_out_bare(
    prompts: Sequence[Prompt],
    runner: RolloutRunner,
    sampling: SamplingParameters,
    samples: int,
    seed: int,
) -> list[TriedProblem]:
    pairs = [(prompt, "") for prompt in prompts for _ in range(samples)]
    seeds = [derive_seed(seed, "doctor", "bare", index) for index in range(len(pairs))]
    with counted("rollouts without a hint", len(pairs), announced=True):
        rollouts = _in_chunks(pairs, seeds, runner, sampling)
    return [
        TriedProblem(prompt, rollouts[start : start + samples])
        for prompt, start in zip(prompts, range(0, len(pairs), samples), strict=True)
    ]


def _try_hints(
    hints: Sequence[str],
    diagnosis: Diagnosis,
    runner: RolloutRunner,
    sampling: SamplingParameters,
    tries: int,
    seed: int,
) -> list[HintTrial]:
    pairs = [
        (problem.prompt, hint)
        for hint in hints
        for problem in diagnosis.unsolved
        for _ in range(tries)
    ]
    seeds = [derive_seed(seed, "doctor", "hint", index) for index in range(len(pairs))]
    with counted("rollouts with hints", len(pairs), announced=True):
        rollouts = _in_chunks(pairs, seeds, runner, sampling)
    each = len(diagnosis.unsolved) * tries
    return [
        HintTrial(hint, rollouts[index * each : (index + 1) * each])
        for index, hint in enumerate(hints)
    ]


def _in_chunks(
    pairs: Sequence[tuple[Prompt, str]],
    seeds: Sequence[int],
    runner: RolloutRunner,
    sampling: SamplingParameters,
) -> list[Any]:
    """Roll out; an engine call has a few dozen, so that a large model has room for them."""
    starts = range(0, len(pairs), CHUNK)
    return [
        rollout
        for start in starts
        for rollout in runner.run_seeded(
            pairs[start : start + CHUNK], sampling, seeds[start : start + CHUNK]
        )
    ]


def settings_of(config: DictConfig) -> Settings:
    """What advice refers to."""
    train = config.sampling.train
    return Settings(
        max_new_tokens=train.max_new_tokens,
        temperature=train.temperature,
        group_size=config.data.group_size,
        pattern=config.verifier.get("pattern"),
        suffix=asked_suffix(config),
        evolves=config.evolution is not None,
    )


def run(config: DictConfig, spending: Spending, machine: bool, output: Path | None) -> None:
    """Examine, and show or write what came of it.

    Args:
        config: Of ``p2o-train``.
        spending: What may be spent.
        machine: Whether to print JSON in place of tables.
        output: A file for the same JSON.

    Raises:
        UserError: See `examine`; or the file cannot be written.
    """
    began = time.monotonic()
    console = Terminal(width=WIDTH, stderr=machine)
    diagnosis = examine(config, spending, console)
    advice = advise(diagnosis, settings_of(config))
    seconds = time.monotonic() - began
    sizes = tuple(sorted({*SIZES, config.data.group_size}))
    content = json.dumps(as_json(diagnosis, advice, sizes, seconds), indent=2) + "\n"
    if output is not None:
        try:
            output.write_text(content, encoding="utf-8")
        except OSError as error:
            raise UserError(f"--output={output}: cannot be written ({error})") from error
    if machine:
        print(content, end="")
    else:
        print_diagnosis(diagnosis, advice, sizes, seconds, console)


@ended_by_interrupt
def start(arguments: argparse.Namespace) -> None:
    """What ``p2o-doctor`` does with what it was given."""
    logging.basicConfig(level=logging.WARNING, format="%(message)s", stream=sys.stderr)
    quieten_libraries()
    spending = Spending(
        arguments.problems, arguments.samples, max(0, arguments.hints), arguments.tries
    )
    with expected_errors():
        config = compose_run(arguments.overrides, arguments.config_dir)
        run(config, spending, arguments.json, arguments.output)


def main() -> None:
    """The same for the arguments of this process."""
    start(parser().parse_intermixed_args())


if __name__ == "__main__":
    main()
