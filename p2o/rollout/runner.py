"""From (prompt, hint) to a scored rollout: render, take turns, verify."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass

from p2o.errors import UserError
from p2o.hints.filling import fill
from p2o.prompt import Context, Prompt
from p2o.rollout.engine import Completion, RolloutEngine, SamplingParameters
from p2o.rollout.environment import Environment, SingleTurn
from p2o.rollout.rendering import ChatRenderer
from p2o.rollout.turns import Episode, Start, play
from p2o.running.distributed import gather, gather_shards, rank, together, world_size
from p2o.running.seeds import derive_seed
from p2o.verifiers.base import Score, Status, Verifier
from p2o_callbacks.hint import Hint, HintOrText, as_hint

logger = logging.getLogger(__name__)

FEWEST = 20
"""Rollouts below this number stop nothing when an environment fails in all of them."""


@dataclass(frozen=True)
class Rollout:
    """One scored response.

    Attributes:
        prompt: What was asked.
        hint: Name of the hint that belongs to this rollout: its text where it is nothing else;
            empty when it has none.
        bare_ids: Token ids of the bare prompt.
        templated_ids: Token ids of the prompt with the hint, or with what is told; `bare_ids`
            without either, and where the hint is the beginning of the answer alone, which is part
            of the completion.
        sampled_after: Which of the two the response was sampled after.
        completion: The tokens that followed.
        response: What the verifier read: their text, unless the environment gave another.
        score: The verifier's verdict.
        told: What the response is told of when it is graded, see `p2o.learning.telling`; empty for
            nothing.
        crowded: Name of the hint that it was to have, for which there was no room; empty for none.
    """

    prompt: Prompt
    hint: str
    bare_ids: tuple[int, ...]
    templated_ids: tuple[int, ...]
    sampled_after: Context
    completion: Completion
    response: str
    score: Score
    told: str = ""
    crowded: str = ""

    @property
    def templated(self) -> bool:
        """Whether a hint stood around the prompt when the response was sampled."""
        return bool(self.hint) and self.sampled_after == Context.TEMPLATED

    @property
    def distilled(self) -> bool:
        """Whether it has a second context beside the bare prompt, for a strategy to learn from."""
        return bool(self.hint or self.told)

    def ids(self, context: Context) -> tuple[int, ...]:
        """Token ids of the prompt in a context."""
        return self.bare_ids if context == Context.BARE else self.templated_ids


class RolloutRunner:
    """Rolls out prompts; training, evolution and evaluation all pass through here.

    A hint that would make a prompt longer than the budget, a forced beginning of the answer counted
    in, is left out of that rollout, which then counts as bare; `overflows` counts them. Nothing is
    ever cut.

    Args:
        engine: Samples tokens.
        renderer: Makes token ids of conversations.
        verifier: Scores responses.
        max_prompt_tokens: The prompt budget.
        environment: What happens between a prompt and its verdict; one turn of the policy's when
            left out.
    """

    def __init__(
        self,
        engine: RolloutEngine,
        renderer: ChatRenderer,
        verifier: Verifier,
        max_prompt_tokens: int,
        environment: Environment | None = None,
    ) -> None:
        self.engine, self.renderer, self.verifier = engine, renderer, verifier
        self.environment = environment or SingleTurn()
        self.max_prompt_tokens = max_prompt_tokens
        self.overflows = 0
        self._warned: set[str] = set()

    def run(
        self,
        pairs: Sequence[tuple[Prompt, HintOrText]],
        sampling: SamplingParameters,
        seed: int,
        context: Context = Context.TEMPLATED,
    ) -> list[Rollout]:
        """Roll out each (prompt, hint) once, together.

        Collective: every rank passes the same pairs, does its share of the work and gets all
        rollouts, in order. What a pair gets depends on `seed` and its index alone.

        Args:
            pairs: Prompts and the hints that belong to them; a text is one, and empty for none.
            sampling: How to draw tokens.
            seed: Of the draws.
            context: Whether to sample with the hint or without it.
        """
        seeds = [derive_seed(seed, index) for index in range(len(pairs))]
        return self.run_seeded(pairs, sampling, seeds, context)

    def run_seeded(
        self,
        pairs: Sequence[tuple[Prompt, HintOrText]],
        sampling: SamplingParameters,
        seeds: Sequence[int],
        context: Context = Context.TEMPLATED,
    ) -> list[Rollout]:
        """Like `run`, with a seed of its own for each pair."""
        share = slice(rank(), None, world_size())
        rollouts = self._run(pairs[share], sampling, seeds[share], context)
        return gather_shards(rollouts)

    def _run(
        self,
        pairs: Sequence[tuple[Prompt, HintOrText]],
        sampling: SamplingParameters,
        seeds: Sequence[int],
        context: Context,
    ) -> list[Rollout]:
        contexts = together(lambda: [self._place(prompt, candidate) for prompt, candidate in pairs])
        starts = [
            Start(prompt, "", placed.bare, seed)
            if context == Context.BARE
            else Start(prompt, placed.text, placed.ids, seed, placed.prefix, placed.learned)
            for (prompt, _), placed, seed in zip(pairs, contexts, seeds, strict=True)
        ]
        episodes = play(self.environment, self.engine, self.renderer, starts, sampling)
        self._check_environment([episode.failure for episode in episodes])
        scores = together(lambda: self._scores(episodes, [prompt for prompt, _ in pairs]))
        return [
            Rollout(
                prompt,
                placed.label,
                placed.bare,
                placed.ids,
                context,
                episode.completion,
                episode.text,
                score,
                crowded=placed.crowded,
            )
            for (prompt, _), placed, episode, score in zip(
                pairs, contexts, episodes, scores, strict=True
            )
        ]

    def _scores(self, episodes: Sequence[Episode], prompts: Sequence[Prompt]) -> list[Score]:
        """Verdicts, which the verifier gives but where the environment says there can be none."""
        judged = [
            (episode.text, prompt)
            for episode, prompt in zip(episodes, prompts, strict=True)
            if episode.failure is None
        ]
        verdicts = iter(self.verifier.score([t for t, _ in judged], [p for _, p in judged]))
        return [
            next(verdicts)
            if episode.failure is None
            else Score(0.0, Status.ERROR, detail=episode.failure)
            for episode in episodes
        ]

    def _check_environment(self, failures: Sequence[str | None]) -> None:
        """Refuse to go on with an environment in which no rollout has a verdict."""
        everywhere = [failure for share in gather(list(failures)) for failure in share]
        if len(everywhere) >= FEWEST and None not in everywhere:
            raise UserError(
                f"the environment failed in all of {len(everywhere)} rollouts, the first time with "
                f"'{everywhere[0]}'; see to what it needs"
            )

    def _place(self, prompt: Prompt, candidate: HintOrText) -> "_Placed":
        """A problem with its hint, in tokens; without it where it leaves no room."""
        bare = tuple(self.renderer.render(prompt.messages))
        if len(bare) > self.max_prompt_tokens:
            raise UserError(
                f"prompt {prompt.id} has {len(bare)} tokens, more than "
                f"max_prompt_tokens={self.max_prompt_tokens}; raise it, or leave such prompts out "
                "(training does with overlong=drop)"
            )
        hint = fill(as_hint(candidate), prompt)
        if hint.empty:
            return _Placed("", "", bare, bare)
        ids = bare
        if hint.text.strip() or hint.turns:
            shown = {"turns": hint.turns} if hint.turns else {}
            ids = tuple(self.renderer.render(prompt.messages, hint.text, **shown))
        begun = hint.prefix.strip()
        prefix = tuple(self.renderer.continue_with(begun)) if begun else ()
        if len(ids) + len(prefix) <= self.max_prompt_tokens:
            label = as_hint(candidate).label
            return _Placed(label, hint.text, bare, ids, prefix, hint.learned)
        self._overflow(prompt, as_hint(candidate), len(ids) + len(prefix))
        return _Placed("", "", bare, bare, crowded=as_hint(candidate).label)

    def _overflow(self, prompt: Prompt, hint: Hint, tokens: int) -> None:
        self.overflows += 1
        if hint.label in self._warned:
            return
        self._warned.add(hint.label)
        logger.warning(
            "a template of %d characters makes prompt %s %d tokens long, over "
            "max_prompt_tokens=%d; that rollout is made without it (template: %.60s...)",
            len(hint.label),
            prompt.id,
            tokens,
            self.max_prompt_tokens,
            " ".join(hint.label.split()),
        )


@dataclass(frozen=True)
class _Placed:
    """A problem with its hint.

    Attributes:
        label: The hint's name; empty without one.
        text: What stands in front of the question.
        bare: Token ids of the problem alone.
        ids: Those of the problem with what stands before its answer.
        prefix: Those that begin the answer.
        learned: Whether the policy is trained on these.
        crowded: Name of a hint for which there was no room.
    """

    label: str
    text: str
    bare: tuple[int, ...]
    ids: tuple[int, ...]
    prefix: tuple[int, ...] = ()
    learned: bool = False
    crowded: str = ""
