"""The tables of docs/evidence/speed.md."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from benchmarks.scaling import AXES
from benchmarks.summary import (
    PARTS,
    SIDES,
    Result,
    cases,
    exponent,
    share_of_other,
    side_of_step,
    step_ratio,
)

TITLES = {
    "step": "A step, against TRL",
    "update": "The update, against the floor",
    "scaling": "Growth",
    "evolution": "A template search, against gepa's own loop",
    "overhead": "What is neither sampling, verifying nor the network",
}

MISSING = "not measured"


def targets(found: Mapping[str, dict[str, Any] | None]) -> str:
    """What is aimed at beside what was measured."""
    steps, updates, overheads = (
        (found[name] or {}).get("results", []) for name in ("step", "update", "overhead")
    )
    smollm2 = "SmolLM2-135M"
    rows = []
    for case, wanted in (
        (smollm2, 2.5),
        (f"{smollm2}, half of the groups dead", 4.0),
        (f"{smollm2}, few-shot prompt of 600 tokens", 4.0),
    ):
        ratio = step_ratio(steps, case, "seconds")
        rows.append((f"step, {case}: TRL's seconds over p2o's", f"{wanted}", _number(ratio)))
    memory = step_ratio(steps, smollm2, "peak_bytes")
    share = None if memory is None else 1 / memory
    rows.append((f"peak memory, {smollm2}: p2o's over TRL's", "0.5 or less", _number(share)))
    rates = [_of_rate(each, "flops") for each in updates if each["case"] == smollm2]
    rate = rates[0] if rates else None
    rows.append((f"update, {smollm2}: share of the matmul rate", "60 % or more", _percent(rate)))
    others = [share_of_other(each["steps"]) for each in overheads if each["case"] == smollm2]
    rows.append(
        (
            f"overhead, {smollm2}: share of a step",
            "under 3 %",
            _percent(others[0] if others else None),
        )
    )
    return f"## Targets\n\n{_table(('', 'target', 'measured'), rows, 'lrr')}"


def step(results: Sequence[Result]) -> str:
    """Seconds by part, peak memory, ratios."""
    header = ("", "repetitions", "step, s", "range, s", *(f"{p}, s" for p in PARTS), "peak, GiB")
    rows, works = [], []
    for case in cases(results):
        for side in SIDES:
            found = side_of_step(results, case, side)
            if found is None:
                rows.append((f"{case}: {side}", MISSING, *[""] * 7))
                continue
            rows.append(
                (
                    f"{case}: {side}",
                    str(found["repetitions"]),
                    _seconds(found["seconds"]),
                    f"{_seconds(found['least'])} to {_seconds(found['most'])}",
                    *(_seconds(found[part]) for part in PARTS),
                    _gibibytes(found["peak_bytes"]),
                )
            )
            works.append(_work(case, side, found))
        ratios = [step_ratio(results, case, part) for part in ("seconds", *PARTS, "peak_bytes")]
        shown = ["" if ratio is None else f"**{ratio:.2f}**" for ratio in ratios]
        rows.append((f"{case}: TRL / p2o", "", shown[0], "", *shown[1:]))
    legend = (
        "Medians over processes, which take turns. Update is forward and backward pass and optimiser; "
        "TRL's scoring is nothing where it takes no old log-probabilities. Peak memory is that of the "
        "whole process. Both sides have the same questions and draw their own responses:"
    )
    return f"{_table(header, rows)}\n{legend}\n\n{_lines(works)}"


def update(results: Sequence[Result]) -> str:
    """The update beside its floor."""
    header = (
        "",
        "update, s",
        "floor, s",
        "share of the rate",
        "rate, GFLOP/s",
        "tokens",
        "as rows",
    )
    rows = [
        (
            each["case"],
            _seconds(each["update"]),
            _seconds(each["flops"] / each["rate"]),
            _percent(_of_rate(each, "flops")),
            f"{each['rate'] / 1e9:.1f}",
            f"{each['tokens']:,}",
            f"{each['as_rows']:,}",
        )
        for each in results
    ]
    strict = "; ".join(
        f"{each['case']}: {_percent(_of_rate(each, 'learned_flops'))}" for each in results
    )
    legend = (
        "The floor is the arithmetic of forward and backward pass over each live group's prompt once "
        "and its responses, over the rate of `torch.matmul` in float32 at the model's sizes. As rows, "
        "each response would bring its prompt along. Of the responses' tokens alone, which are what is "
        f"learned, the shares are: {strict}."
    )
    return f"{_table(header, rows)}\n{legend}\n\n{_commands(results)}"


def scaling(results: Sequence[Result]) -> str:
    """Seconds and exponents by what grows."""
    base = [each for each in results if not each["axis"]]
    header = ("", "seconds of the update", "exponent", "seconds of scoring", "exponent")
    rows = []
    for axis, field in AXES.items():
        grown = [each for each in results if each["axis"] == axis]
        if not base or not grown:
            rows.append((axis, MISSING, "", "", ""))
            continue
        points = sorted((_place(each, field), each) for each in [*base, *grown])
        xs = [x for x, _ in points]
        cells = []
        for part in ("update", "scoring"):
            ys = [each[part] for _, each in points]
            cells.append("; ".join(f"{x:.0f}: {y:.2f}" for x, y in zip(xs, ys, strict=True)))
            cells.append(_number(exponent(xs, ys)))
        rows.append((axis, *cells))
    legend = ""
    for each in base:
        work = each["work"]
        legend = (
            f"Random weights, {each['parameters']:,} parameters in {each['layers']} layers. Where nothing "
            f"else is said: {work['prompts']} prompts of {each['prompt_tokens']:.0f} tokens, "
            f"{work['group_size']} rollouts of each, {work['new_tokens']} tokens in each of them. Half of "
            "the rollouts are scored. An exponent of 1 doubles the cost when the number doubles; below 1, "
            "more of it is cheaper by the piece.\n\n" + _commands([each])
        )
    return f"{_table(header, rows, 'llrlr')}\n{legend}"


def evolution(results: Sequence[Result]) -> str:
    """Both searches."""
    header = ("", "engine calls", "prompts", "metric calls", "seconds", "best dev score")
    rows, legend = [], ""
    for each in results:
        searches = each["searches"]
        for name in ("gepa", "p2o"):
            found = searches[name]
            rows.append(
                (
                    {"gepa": "gepa's own loop", "p2o": "p2o, width 16"}[name],
                    *(f"{found[key]:,}" for key in ("engine_calls", "prompts", "metric_calls")),
                    _seconds(found["seconds"]),
                    f"{found['best_score']:.2f}",
                )
            )
        ratios = (
            _number(_over(searches["gepa"][key], searches["p2o"][key]))
            for key in ("engine_calls", "prompts", "metric_calls", "seconds")
        )
        rows.append(("gepa / p2o", *(f"**{ratio}**" for ratio in ratios), ""))
        legend = (
            f"At most {each['budget']:,} metric calls, {each['hard']} hard samples, {each['dev']} of them "
            f"for the dev score.\n\n{_commands(results)}"
        )
    return f"{_table(header, rows)}\n{legend}"


def overhead(results: Sequence[Result]) -> str:
    """Shares of a step."""
    parts = ("generation", "verifying", "scoring", "update", "other")
    header = ("", "steps", "step, s", *(f"{part}" for part in parts))
    rows = []
    for each in results:
        steps = each["steps"]
        total = sum(step["seconds"] for step in steps)
        shares = (_percent(_over(sum(step[part] for step in steps), total)) for part in parts)
        mean = _over(total, len(steps))
        rows.append((each["case"], str(len(steps)), _seconds(mean or 0.0), *shares))
    return f"{_table(header, rows)}\n{_commands(results)}"


TABLES: dict[str, Callable[[Sequence[Result]], str]] = {
    "step": step,
    "update": update,
    "scaling": scaling,
    "evolution": evolution,
    "overhead": overhead,
}
"""By benchmark."""


def _work(case: str, side: str, found: Result) -> str:
    work = found["work"]
    how = f"`{found['command']}`" if found["command"] else "TRL's GRPOTrainer"
    return (
        f"{case}, {side}: {work['prompts']} prompts of {found['prompt']:.0f} tokens, "
        f"{work['group_size']} rollouts of each, {found['response']:.0f} tokens in each on average "
        f"(at most {work['new_tokens']}), {found['threads']} threads; {how}"
    )


def _place(result: Result, field: str) -> float:
    """Where a result stands on an axis; prompts are as long as they were, not as asked for."""
    return result["prompt_tokens"] if field == "examples" else result["work"][field]


def _of_rate(result: Result, flops: str) -> float:
    return result[flops] / result["rate"] / result["update"]


def _over(part: float, whole: float) -> float | None:
    return part / whole if whole else None


def _table(header: Sequence[str], rows: Iterable[Sequence[str]], sides: str = "") -> str:
    sides = sides or "l" + "r" * (len(header) - 1)
    rule = ["---:" if side == "r" else "---" for side in sides]
    return "".join(f"| {' | '.join(row)} |\n" for row in (header, rule, *rows))


def _lines(lines: Iterable[str]) -> str:
    return "".join(f"- {line}\n" for line in lines)


def _commands(results: Sequence[Result]) -> str:
    return _lines(f"`{each['command']}`, {each['threads']} threads" for each in results)


def _number(value: float | None) -> str:
    return MISSING if value is None else f"{value:.2f}"


def _percent(value: float | None) -> str:
    return MISSING if value is None else f"{100 * value:.1f} %"


def _seconds(value: float) -> str:
    return f"{value:.1f}" if value >= 10 else f"{value:.2f}" if value >= 1 else f"{value:.3f}"


def _gibibytes(value: float) -> str:
    return f"{value / 2**30:.2f}"
