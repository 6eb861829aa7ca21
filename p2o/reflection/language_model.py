"""Reflection with the language model that is trained, as it is now or as it was at the start."""

import logging
from collections.abc import Sequence

from p2o.constraints import Count, NotNegative, SomeShare
from p2o.reflection.base import ReflectionRequest, shortened
from p2o.reflection.meta_prompt import extract_template, render_meta_prompt
from p2o.rollout.engine import Completion, RolloutEngine, SamplingParameters
from p2o.rollout.rendering import ChatRenderer
from p2o.running.counted import counted
from p2o.running.distributed import gather_work, rank, world_size
from p2o_callbacks.candidates import Exchange

logger = logging.getLogger(__name__)


class PolicyReflection:
    """The current policy writes templates.

    Args:
        max_new_tokens: Length limit of an answer.
        temperature: Divides the logits.
        top_p: Keep the smallest set of tokens with this much probability.
        max_prompt_tokens: Length limit of a meta-prompt; None for no limit. Records are left out,
            the last first, until it fits; one that does not fit with a single record fails.

    Attributes:
        exchanges: See `ConversingReflection`.
    """

    def __init__(
        self,
        max_new_tokens: Count = 1024,
        temperature: NotNegative = 0.7,
        top_p: SomeShare = 1.0,
        max_prompt_tokens: Count | None = None,
    ) -> None:
        self.sampling = SamplingParameters(
            temperature=temperature, top_p=top_p, max_new_tokens=max_new_tokens
        )
        self.max_prompt_tokens = max_prompt_tokens
        self.exchanges: list[Exchange | None] = []

    def bind(self, engine: RolloutEngine, renderer: ChatRenderer) -> None:
        """Take the engine, whose weights follow the training, and the renderer."""
        self.engine, self.renderer = engine, renderer
        # What the engine has no room for is left out like what the setting leaves out.
        room = getattr(engine, "max_length", None)
        if room is not None:
            longest = room - self.sampling.max_new_tokens
            self.max_prompt_tokens = min(self.max_prompt_tokens or longest, longest)

    def reflect(self, requests: Sequence[ReflectionRequest]) -> list[str | None]:
        """Write one template for each request, in one engine call; see `Reflection.reflect`.

        Collective: every rank passes the same requests, does its share and gets all templates.
        """
        written = gather_work(lambda: self._reflect(requests[rank() :: world_size()]))
        self.exchanges = [exchange for _, exchange in written]
        return [template for template, _ in written]

    def question(self, request: ReflectionRequest) -> str:
        """What the model is asked; a subclass may ask for something else."""
        return render_meta_prompt(request)

    def _reflect(
        self, requests: Sequence[ReflectionRequest]
    ) -> list[tuple[str | None, Exchange | None]]:
        prompts = [self._render(request) for request in requests]
        asked = [rendered[1] for rendered in prompts if rendered is not None]
        seeds = [r.seed for r, prompt in zip(requests, prompts, strict=True) if prompt is not None]
        with counted("reflections of one round", len(asked)):
            completions = iter(self.engine.generate(asked, self.sampling, seeds))
        return [
            (None, None) if rendered is None else self._read(rendered[0], next(completions))
            for rendered in prompts
        ]

    def _read(self, prompt: str, completion: Completion) -> tuple[str | None, Exchange]:
        text = self.renderer.decode(completion.token_ids)
        cut_off = completion.finish_reason == "length"
        return extract_template(text, cut_off), Exchange(prompt, text, cut_off)

    def _render(self, request: ReflectionRequest) -> tuple[str, list[int]] | None:
        """The meta-prompt with as many records as fit, and its ids; None when one is too many."""
        length = 0
        for shorter in shortened(request):
            content = self.question(shorter)
            ids = self.renderer.render_plain([{"role": "user", "content": content}])
            if self.max_prompt_tokens is None or len(ids) <= self.max_prompt_tokens:
                return content, ids
            length = len(ids)
        logger.warning(
            "no reflection on a template of %d characters: its meta-prompt has %d tokens "
            "with a single record, over max_prompt_tokens=%d",
            len(request.template),
            length,
            self.max_prompt_tokens,
        )
        return None


class SelfReflection(PolicyReflection):
    """The initial policy writes templates, pi_init of the paper.

    Training narrows what a policy says: late in a run, templates from the current policy are alike,
    and a search has little to choose from. The initial policy stays as diverse as it was, for the
    price of a second copy of the weights.
    """

    def bind(self, engine: RolloutEngine, renderer: ChatRenderer) -> None:
        """Take a copy of the engine with the weights of this moment, and the renderer."""
        super().bind(engine.frozen_copy(), renderer)
