"""The tables of docs/evidence/speed.md, one for each benchmark."""

from collections.abc import Callable, Sequence

from benchmarks.markdown import MISSING, gibibytes, items, number, percent, seconds, table
from benchmarks.scaling import AXES
from benchmarks.summary import (
    PARTS,
    SIDES,
    Result,
    cases,
    exponent,
    over,
    share_of_rate,
    side_of_step,
    step_ratio,
)

STEP = """\
Medians over processes, which take turns. The update is forward and backward pass and optimiser.
Neither side scores where no old log-probabilities are needed; what p2o scores here is a sample or
two, to see that its engine samples from the policy. Peak memory is that of the whole process. Both
sides have the same questions and draw responses of their own.
"""
UPDATE = """\
The floor is the arithmetic of forward and backward pass over the tokens that gradient flows
through, each live group's prompt once and its responses, over the rate of `torch.matmul` in float32
at the model's sizes. As rows, each response would bring its prompt along. Of the arithmetic of the
responses alone, whose tokens are what is learned, the shares would be:
"""
SAMPLING = """\
The floor reads the prompts once and then, for each token of the longest response, multiplies the
model's linear maps with one token of each row, in float32; attention, norms and the drawing of
tokens are left out. With few rows a pass takes as long as the weights need to come from memory.
"""
EVOLUTION = """\
All have the same number of metric calls. A width of 16 takes up to 16 parents from the Pareto
front, and no more than there are on it. On this world one good template is best on nearly all
samples, and before the first one is found the empty template stands alone: there are one or two
parents, so that the width brings nothing. Filled (`evolution.evolver.fill_width=true`), each
iteration makes 16 proposals all the same. Prompts a call tell how many were tried together.
"""
SEARCHES = {
    "gepa": "gepa's own loop",
    "p2o": "p2o, width 16",
    "filled": "p2o, width 16, filled",
}
"""By key of a result, what the table calls a search."""
SCALING = """\
One thing grows at a time; completions are prescribed. Half of the rollouts are scored. An exponent
of 1 means that the cost doubles with the number; below 1, more of it costs less by the piece.
"""


def step(results: Sequence[Result]) -> str:
    """Seconds by part, peak memory, ratios."""
    header = ("", "repetitions", "step, s", "range, s", *(f"{p}, s" for p in PARTS), "peak, GiB")
    rows, works = [], []
    for case in cases(results):
        for side in SIDES:
            found = side_of_step(results, case, side)
            if found is None:
                rows.append((f"{case}: {side}", MISSING, *[""] * (len(header) - 2)))
                continue
            rows.append(
                (
                    f"{case}: {side}",
                    str(found["repetitions"]),
                    seconds(found["seconds"]),
                    f"{seconds(found['least'])} to {seconds(found['most'])}",
                    *(seconds(found[part]) for part in PARTS),
                    gibibytes(found["peak_bytes"]),
                )
            )
            works.append(_work(case, side, found))
        ratios = [step_ratio(results, case, part) for part in ("seconds", *PARTS, "peak_bytes")]
        shown = ["" if ratio is None else f"**{ratio:.2f}**" for ratio in ratios]
        rows.append((f"{case}: TRL / p2o", "", shown[0], "", *shown[1:]))
    return f"{table(header, rows)}\n{STEP}\n{items(works)}"


def _work(case: str, side: str, found: Result) -> str:
    work = found["work"]
    how = f"`{found['command']}`" if found["command"] else "TRL's GRPOTrainer"
    parts = work["parts"] if side == "TRL" else 1
    apart = f"in {parts} parts, " if parts > 1 else ""
    return (
        f"{case}, {side}: {work['prompts']} prompts of {found['prompt']:.0f} tokens, "
        f"{work['group_size']} rollouts of each, {found['response']:.0f} tokens in each on average "
        f"(at most {work['new_tokens']}), threads: {found['threads']}; "
        f"{apart}{how}"
    )


def update(results: Sequence[Result]) -> str:
    """The update beside its floor."""
    header = ("", "update, s", "floor, s", "share", "rate, GFLOP/s", "tokens", "as rows")
    rows = [
        (
            each["case"],
            seconds(each["update"]),
            seconds(each["flops"] / each["rate"]),
            percent(share_of_rate(each, "flops")),
            f"{each['rate'] / 1e9:.1f}",
            f"{each['tokens']:,}",
            f"{each['as_rows']:,}",
        )
        for each in results
    ]
    alone = [f"{e['case']}: {percent(share_of_rate(e, 'learned_flops'))}" for e in results]
    return f"{table(header, rows)}\n{UPDATE}\n{items([*alone, *_commands(results)])}"


def sampling(results: Sequence[Result]) -> str:
    """Sampling beside its floor."""
    header = (
        *("", "sampling, s", "floor, s", "share", "prompts, s", "a token of each row, s"),
        *("longest", "weights, GB/s"),
    )
    rows = [
        (
            each["case"],
            seconds(each["generation"]),
            seconds(each["floor"]),
            percent(each["floor"] / each["generation"]),
            seconds(each["prompts"]),
            seconds(each["token"]),
            str(each["longest"]),
            f"{each['bytes'] / each['token'] / 1e9:.1f}",
        )
        for each in results
    ]
    return f"{table(header, rows)}\n{SAMPLING}\n{items(_commands(results))}"


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
        points = sorted([*base, *grown], key=lambda each: _place(each, field))
        xs, cells = [_place(each, field) for each in points], []
        for part in ("update", "scoring"):
            ys = [each[part] for each in points]
            cells.append("; ".join(f"{x:.0f}: {y:.2f}" for x, y in zip(xs, ys, strict=True)))
            cells.append(number(exponent(xs, ys)))
        rows.append((axis, *cells))
    return f"{table(header, rows, 'llrlr')}\n{SCALING}\n{items(map(_base, base))}"


def _place(result: Result, field: str) -> float:
    """Where a result stands on an axis; prompts are as long as they were, not as asked for."""
    return result["prompt_tokens"] if field == "examples" else result["work"][field]


def _base(result: Result) -> str:
    work = result["work"]
    return (
        f"{work['prompts']} prompts of {result['prompt_tokens']:.0f} tokens, {work['group_size']} "
        f"rollouts of each, {work['new_tokens']} tokens in each of them, where nothing else is "
        f"said; random weights, {result['parameters']:,} parameters in {result['layers']} layers; "
        f"`{result['command']}`, threads: {result['threads']}"
    )


def evolution(results: Sequence[Result]) -> str:
    """Each search, and gepa's own over it."""
    counted = ("engine_calls", "prompts", "metric_calls")
    header = (
        "",
        "engine calls",
        "prompts",
        "metric calls",
        "seconds",
        "prompts a call",
        "best dev score",
    )
    rows, sizes = [], []
    for each in results:
        for key, name in SEARCHES.items():
            found = each["searches"][key]
            counts = [f"{found[key]:,}" for key in counted]
            together = number(over(found["prompts"], found["engine_calls"]))
            best = number(found["best_score"])
            rows.append((name, *counts, seconds(found["seconds"]), together, best))
        own, *others = (each["searches"][key] for key in SEARCHES)
        for name, other in zip(list(SEARCHES.values())[1:], others, strict=True):
            ratios = [f"**{number(over(own[key], other[key]))}**" for key in (*counted, "seconds")]
            rows.append((f"gepa / {name}", *ratios, "", ""))
        sizes.append(
            f"at most {each['budget']:,} metric calls, {each['hard']} hard samples, {each['dev']} "
            f"of them for the dev score; `{each['command']}`, threads: {each['threads']}"
        )
    return f"{table(header, rows)}\n{EVOLUTION}\n{items(sizes)}"


def overhead(results: Sequence[Result]) -> str:
    """Shares of a step."""
    parts = ("generation", "verifying", "scoring", "update", "other")
    rows = []
    for each in results:
        steps = each["steps"]
        total = sum(step["seconds"] for step in steps)
        shares = [percent(over(sum(step[part] for step in steps), total)) for part in parts]
        mean = over(total, len(steps)) or 0.0
        rows.append((each["case"], str(len(steps)), seconds(mean), *shares))
    return f"{table(('', 'steps', 'step, s', *parts), rows)}\n{items(_commands(results))}"


def _commands(results: Sequence[Result]) -> list[str]:
    return [f"`{each['command']}`, threads: {each['threads']}" for each in results]


TABLES: dict[str, tuple[str, Callable[[Sequence[Result]], str]]] = {
    "step": ("A step, against TRL", step),
    "update": ("The update, against the floor", update),
    "sampling": ("Sampling, against the floor", sampling),
    "scaling": ("Growth", scaling),
    "evolution": ("A template search, against gepa's own loop", evolution),
    "overhead": ("What is neither sampling, verifying nor the network", overhead),
}
"""Title and table by benchmark."""
