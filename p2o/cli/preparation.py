"""From a configuration to the prompts that a run uses."""

from omegaconf import DictConfig

from p2o.configuration.build import build
from p2o.data.contamination import Contamination
from p2o.data.selection import (
    each_once,
    unusable_golds,
    warn_of_unknown_words,
    with_usable_golds,
    within_budget,
)
from p2o.data.sources import PromptSource, Split
from p2o.errors import located
from p2o.rollout.rendering import ChatRenderer
from p2o.verifiers.base import Verifier


def prepare(config: DictConfig, renderer: ChatRenderer, verifier: Verifier) -> Split:
    """Load the prompts of a run, and leave out what cannot or should not be used.

    Args:
        config: Of ``p2o-train``.
        renderer: Makes tokens of prompts.
        verifier: Says which gold answers it cannot use.

    Raises:
        UserError: They cannot be had, too many are left out, or none is left.
    """
    data = config.data
    # Made first, so that a wrong setting is found before anything is read.
    contamination: Contamination | None = build(data.get("contamination"), "data.contamination")
    source: PromptSource = build(data.source, "data.source")
    with located("data.source"):
        split = each_once(source.load(config.seed))
    with located("verifier"):
        unusable = unusable_golds([*split.train, *split.held_out], verifier)
    with located("data"):
        split = with_usable_golds(split, unusable, data.max_unusable_golds)
    if contamination is not None:
        with located("data.contamination"):
            split = contamination.apply(split)
    with located("data"):
        split = within_budget(split, renderer, data.max_prompt_tokens, data.overlong)
    warn_of_unknown_words(split, renderer)
    return split
