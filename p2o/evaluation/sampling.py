"""Ask all questions, chunk by chunk."""

import json
import sys
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import replace
from typing import Any

from rich.markup import escape
from rich.progress import Progress

from p2o.errors import UserError
from p2o.evaluation.benchmark import Benchmark
from p2o.evaluation.completions import Completions
from p2o.evaluation.templates import TemplateUse, check_votes
from p2o.prompt import Prompt
from p2o.rollout.engine import check_lengths
from p2o.rollout.runner import Rollout, RolloutRunner
from p2o.running.counted import counted
from p2o.running.seeds import derive_seed


def with_room(benchmarks: Sequence[Benchmark], runner: RolloutRunner) -> list[Benchmark]:
    """Benchmarks whose questions all fit; nothing is cut.

    A question that is too long is refused, or left out where the benchmark says so.

    Raises:
        UserError: Names the longest, or what the engine has room for.
    """
    return [_with_room(benchmark, runner) for benchmark in benchmarks]


def _with_room(benchmark: Benchmark, runner: RolloutRunner) -> Benchmark:
    try:
        rendered = {p.id: runner.renderer.render(p.messages) for p in benchmark.prompts}
    except UserError as error:
        raise UserError(f"benchmarks.{benchmark.name}: {error}") from error
    most = runner.max_prompt_tokens
    fitting = [p for p in benchmark.prompts if len(rendered[p.id]) <= most]
    if benchmark.drops_unusable and fitting:
        benchmark = replace(benchmark, prompts=fitting)
    worst = max(benchmark.prompts, key=lambda prompt: len(rendered[prompt.id])).id
    excess = len(rendered[worst]) - most
    if excess > 0:
        raise UserError(
            f"max_prompt_tokens={most}: question {worst} of {benchmark.name} is longer by {excess} "
            "tokens; raise it"
        )
    limit = getattr(runner.engine, "max_length", None)
    if limit is not None:
        check_lengths([rendered[worst]], benchmark.sampling, limit)
    return benchmark


def sample(
    benchmarks: Sequence[Benchmark],
    runner: RolloutRunner,
    templates: TemplateUse,
    completions: Completions,
    chunk: int,
    seed: int,
) -> None:
    """Sample, verify and keep what is not there yet, with a bar or, for no terminal, with lines.

    What a sample gets depends on the seed, its benchmark, question and number alone.

    Raises:
        UserError: Several templates are to vote, and the verifier names no answers.
    """
    # rich calls a pipe a terminal where FORCE_COLOR is set, as notebooks and CI do.
    live = sys.stdout.isatty()
    with Progress(transient=True, disable=not live) as progress:
        for benchmark in benchmarks:
            wanted = [(p, n) for p in benchmark.prompts for n in range(benchmark.samples)]
            parts = [wanted[start : start + chunk] for start in range(0, len(wanted), chunk)]
            left = {
                number: part
                for number, part in enumerate(parts)
                if not completions.has(benchmark.name, number)
            }
            done = len(wanted) - sum(map(len, left.values()))
            task = progress.add_task(escape(benchmark.name), total=len(wanted), completed=done)
            with ExitStack() as stack:
                if left and not live:
                    size = sum(
                        len(templates.texts(*each)) for part in left.values() for each in part
                    )
                    what = f"responses of {benchmark.name}"
                    stack.enter_context(counted(what, size, announced=True))
                for number, part in left.items():
                    rows = list(_rows(benchmark, part, runner, templates, seed))
                    if len(rows) > len(part):
                        check_votes(benchmark.name, rows)
                    completions.write(benchmark.name, number, rows)
                    progress.advance(task, len(part))


def _rows(
    benchmark: Benchmark,
    part: Sequence[tuple[Prompt, int]],
    runner: RolloutRunner,
    templates: TemplateUse,
    seed: int,
) -> Iterator[dict[str, Any]]:
    asked = [
        (prompt, number, template, derive_seed(seed, f"{benchmark.name}/{prompt.id}/{number}/{i}"))
        for prompt, number in part
        for i, template in enumerate(templates.texts(prompt, number))
    ]
    pairs = [(prompt, template) for prompt, _, template, _ in asked]
    rollouts = runner.run_seeded(pairs, benchmark.sampling, [seed for *_, seed in asked])
    for (_, number, _, own_seed), rollout in zip(asked, rollouts, strict=True):
        yield {"benchmark": benchmark.name, "sample": number, "seed": own_seed} | _row(
            rollout, runner
        )


def _row(rollout: Rollout, runner: RolloutRunner) -> dict[str, Any]:
    score = rollout.score
    return {
        "prompt_id": rollout.prompt.id,
        "source": rollout.prompt.source,
        "messages": json.dumps(rollout.prompt.messages, default=str),
        "template": rollout.hint,
        "crowded": rollout.crowded,
        "prompt": runner.renderer.tokenizer.decode(list(rollout.ids(rollout.sampled_after))),
        "response": rollout.response,
        "tokens": len(rollout.completion.sampled_ids),
        "finish_reason": rollout.completion.finish_reason,
        "reward": score.reward,
        "solved": score.solved,
        "status": score.status.value,
        "answer": score.answer,
        "detail": score.detail,
        "golds": list(rollout.prompt.golds),
        "meta": json.dumps(rollout.prompt.meta, default=str),
    }
