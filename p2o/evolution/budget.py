"""How many metric calls, rollouts of a template on a sample, a search may make."""

from math import log2

from p2o.errors import UserError

PRESETS = {
    "light": 6,
    "medium": 12,
    "heavy": 18,
    "heavy_2": 36,
    "heavy_3": 54,
    "heavy_4": 72,
    "heavy_16": 288,
}
"""Candidate templates by preset; heavy_4 is the paper's."""

STARTING_CALLS = 5
TRIAL_CALLS = 35
TRIALS_PER_EVALUATION = 5


def metric_call_budget(auto: str, dev_size: int) -> int:
    """Metric calls of a preset, by the formula of the reference implementation.

    For one component and n candidates there are ``max(4 log2 n, 1.5 n)`` trials, each with a
    minibatch of 35, one full evaluation for every five of them and two more, and five calls to
    start each candidate.

    Args:
        auto: Name of the preset.
        dev_size: Samples of a full evaluation.

    Raises:
        UserError: There is no such preset.
    """
    if auto not in PRESETS:
        raise UserError(
            f"budget={auto}: give a number of metric calls or one of {', '.join(PRESETS)}"
        )
    candidates = PRESETS[auto]
    trials = int(max(4 * log2(candidates), 1.5 * candidates))
    evaluations = (trials + 1) // TRIALS_PER_EVALUATION + 2
    return STARTING_CALLS * candidates + TRIAL_CALLS * trials + evaluations * dev_size


def resolve_budget(budget: str | int, dev_size: int) -> int:
    """Metric calls of a budget that is a number or the name of a preset.

    Raises:
        UserError: The number is below 1, or there is no such preset.
    """
    if isinstance(budget, str):
        return metric_call_budget(budget, dev_size)
    if budget < 1:
        raise UserError(f"budget={budget}: give at least 1 metric call")
    return budget
