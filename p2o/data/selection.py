"""Which prompts fit the prompt budget."""

import logging

from p2o.data.sources import Split
from p2o.errors import UserError
from p2o.rollout.runner import RolloutRunner

logger = logging.getLogger(__name__)


def fit_to_budget(split: Split, runner: RolloutRunner, overlong: str) -> Split:
    """Drop or refuse prompts that are over the prompt budget without any template; never cut one.

    Args:
        split: All prompts.
        runner: Knows the budget.
        overlong: ``drop`` or ``refuse``.

    Raises:
        UserError: There are such prompts and they are to be refused, or no prompt is left.
    """
    if overlong not in ("drop", "refuse"):
        raise UserError(f"data.overlong={overlong}: give drop or refuse")
    kept = {}
    for name, prompts in (("train", split.train), ("held_out", split.held_out)):
        excess = {prompt.id: runner.check_length(prompt) for prompt in prompts}
        over = [prompt for prompt in prompts if excess[prompt.id]]
        if over and overlong == "refuse":
            worst = max(over, key=lambda prompt: excess[prompt.id])
            raise UserError(
                f"data.max_prompt_tokens={runner.max_prompt_tokens}: {len(over)} of {len(prompts)} "
                f"{name} prompts are longer, {worst.id} by {excess[worst.id]} tokens; raise it or "
                "set data.overlong=drop"
            )
        if over:
            logger.warning(
                "%d of %d %s prompts are over data.max_prompt_tokens=%d and left out",
                len(over),
                len(prompts),
                name,
                runner.max_prompt_tokens,
            )
        kept[name] = [prompt for prompt in prompts if not excess[prompt.id]]
        if not kept[name]:
            raise UserError(f"data: no {name} prompts are left; check data.source and its sizes")
    return Split(**kept)
