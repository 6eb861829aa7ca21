"""Gives responses that were sampled without a hint the context in which they are graded."""

import logging
from collections.abc import Sequence
from dataclasses import replace

from p2o.distillation.told import Told
from p2o.prompt import Context
from p2o.rollout.rendering import ChatRenderer
from p2o.rollout.runner import Rollout

logger = logging.getLogger(__name__)

Groups = Sequence[Sequence[Rollout]]


class Telling:
    """Makes the contexts of `Told` for whole groups.

    A response that has a hint keeps it. One of which nothing can be told stays as it is.

    Args:
        told: What is told.
        renderer: Makes token ids of the problem with what is told.
        max_length: The most tokens that the model takes; None for no limit.
    """

    def __init__(self, told: Told, renderer: ChatRenderer, max_length: int | None) -> None:
        self.told, self.renderer, self.max_length = told, renderer, max_length
        self._warned = False

    def __call__(self, groups: Groups) -> list[list[Rollout]]:
        """The same groups, with what each response is told of."""
        return [self._group(group) for group in groups]

    def _group(self, group: Sequence[Rollout]) -> list[Rollout]:
        prompt = group[0].prompt
        *earlier, last = prompt.messages
        texts = self.told.texts(
            last["content"],
            prompt.gold,
            [rollout.response for rollout in group],
            [rollout.score.solved for rollout in group],
        )
        told = []
        for rollout, text in zip(group, texts, strict=True):
            if text is not None and not rollout.hint:
                ids = tuple(self.renderer.render([*earlier, {**last, "content": text}]))
                if self._fits(ids, rollout):
                    rollout = replace(
                        rollout, told=text, templated_ids=ids, sampled_after=Context.BARE
                    )
            told.append(rollout)
        return told

    def _fits(self, context: tuple[int, ...], rollout: Rollout) -> bool:
        whole = len(context) + len(rollout.completion.token_ids)
        fits = len(context) <= self.told.longest
        if fits and (self.max_length is None or whole <= self.max_length):
            return True
        if not self._warned:
            self._warned = True
            logger.warning(
                "what prompt %s is told makes it %d tokens long, with its response %d: more than "
                "longest=%d or what the model takes (%s); such responses are not "
                "graded",
                rollout.prompt.id,
                len(context),
                whole,
                self.told.longest,
                self.max_length or "any number",
            )
        return False
