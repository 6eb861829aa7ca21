"""Whether a run was well: series of its metrics, its guards, its configuration."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from p2o.report.drift import pass_at
from p2o.report.runs import Run

MOST_POINTS = 400
"""Points of a series that are drawn; of more, means of neighbours are."""

PANELS = {
    "Groups without contrast, share": ("groups/dead", "hard/dead_groups"),
    "Hard set, problems": ("hard/size", "hard/entered", "hard/solved", "hard/relapsed"),
    "Contrast of templated groups": ("templated/reward_spread", "templated/opening_contrast"),
    "Tokens of successes that the mask keeps, share": ("templated/reach",),
    "Reliance on the hint, nats a token": ("templated/reliance",),
    "Engine and trainer, KL a token": ("train/engine_kl",),
    "Entropy of the policy, nats": ("train/entropy",),
    "Divergence from the reference, nats": ("train/kl",),
    "Norm of the gradient": ("train/grad_norm",),
    "Length of a response, tokens": ("response/tokens",),
    "Responses cut off, or without an answer": ("response/cut", "response/no_answer"),
    "Verdicts that failed, share": ("verifier/failed",),
    "Reward, mean": ("reward/mean", "templated/reward"),
    "Seconds of a step, by phase": (
        *("seconds/rollouts", "seconds/scoring", "seconds/update"),
        *("seconds/search", "seconds/evaluation"),
    ),
    "Tokens a second": ("throughput/sampled_tokens", "throughput/trained_tokens"),
    "Model FLOP utilisation, share": ("throughput/mfu",),
}
"""What is drawn together, by title."""
GUARDS = {
    "FiniteUpdates": "updates stay finite",
    "MetricBounds": "a metric stays within bounds",
    "ShareOfStart": "a metric keeps a share of its first value",
    "ShareOfBest": "a metric keeps a share of its best value",
}
"""Callbacks that stop a run which has collapsed."""


def panels(run: Run) -> dict[str, dict[str, list[tuple[float, float]]]]:
    """Title to metric to its series of step and value, for the metrics that the run has."""
    found = {}
    several = pass_at(run)
    beside = ("val/accuracy", *several.values()) if several else ()
    for title, names in {**PANELS, "Accuracy and pass@k, held out": beside}.items():
        series = {name: thinned(run.column(name)) for name in names if run.column(name)}
        if series:
            found[title] = series
    return found


def thinned(series: list[tuple[float, float]]) -> list[tuple[float, float]]:
    """At most `MOST_POINTS` points: means of neighbours."""
    size = -(-len(series) // MOST_POINTS)
    if size <= 1:
        return series
    parts = [series[start : start + size] for start in range(0, len(series), size)]
    return [
        (sum(x for x, _ in part) / len(part), sum(y for _, y in part) / len(part)) for part in parts
    ]


@dataclass(frozen=True)
class Guard:
    """What watches a run.

    Attributes:
        name: In the configuration, below ``callbacks``.
        watches: In words.
        settings: Those that are set.
        off: Whether its bounds are left open.
    """

    name: str
    watches: str
    settings: str
    off: bool


def guards(run: Run) -> list[Guard]:
    """The guards that a run was configured with."""
    found = []
    callbacks = run.config.get("callbacks")
    for name, node in (callbacks if isinstance(callbacks, Mapping) else {}).items():
        kind = str(node.get("_target_", "")).rpartition(".")[2] if isinstance(node, Mapping) else ""
        if kind in GUARDS:
            own = {key: value for key, value in node.items() if key != "_target_"}
            bounds = [own[key] for key in ("minimum", "maximum") if key in own]
            off = bool(bounds) and all(bound is None for bound in bounds)
            shown = ", ".join(f"{k}={v}" for k, v in own.items() if v is not None)
            found.append(Guard(str(name), GUARDS[kind], shown, off))
    return found


def flat_settings(config: Any, prefix: str = "") -> Iterator[tuple[str, str]]:
    """A configuration as dotted keys and values."""
    if isinstance(config, Mapping) and config:
        for key, value in config.items():
            yield from flat_settings(value, f"{prefix}.{key}" if prefix else str(key))
    else:
        yield prefix, config if isinstance(config, str) else json.dumps(config)
