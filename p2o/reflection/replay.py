"""Reflection with the answers that a language model gave in an earlier run."""

from collections import Counter, defaultdict
from collections.abc import Sequence

from p2o.errors import UserError
from p2o.records import read
from p2o.reflection.base import ReflectionRequest, shortened
from p2o.reflection.hint_writer import ASK
from p2o.reflection.meta_prompt import extract_template, render_meta_prompt
from p2o.rollout.engine import RolloutEngine
from p2o.rollout.rendering import ChatRenderer
from p2o_callbacks.candidates import Exchange

TO_A_HINT_WRITER = ASK.partition("{")[0]
"""How its prompts begin."""


class ReplayedReflection:
    """Answers what a teacher answered in another run: the same search again without a network.

    A prompt that was asked several times gets its answers in their order, over and over. Where that
    run left records out of a prompt, for want of room, so does the lookup.

    Args:
        run: Directory of the run, which has kept its exchanges.

    Attributes:
        exchanges: See `ConversingReflection`.

    Raises:
        UserError: The run has no exchanges, or they are those of a hint writer, whose prompts are
            others; or a search asks what that run did not.
    """

    def __init__(self, run: str) -> None:
        self.run = run
        self.exchanges: list[Exchange | None] = []
        self._answers: defaultdict[str, list[Exchange]] = defaultdict(list)
        self._asked: Counter[str] = Counter()
        for said in read(run).rows("exchanges", ["prompt", "answer", "cut_off"]):
            self._answers[said[0]].append(Exchange(*said))
        if not self._answers:
            raise UserError(
                f"run={run}: it has no exchanges on record; give one that asked a language model "
                "and kept its reflection in full"
            )
        if all(prompt.startswith(TO_A_HINT_WRITER) for prompt in self._answers):
            raise UserError(
                f"run={run}: its exchanges are those of a hint writer, which cannot be replayed; "
                "give a run whose reflection wrote templates"
            )

    def bind(self, engine: RolloutEngine, renderer: ChatRenderer) -> None:
        """Nothing to take."""

    def reflect(self, requests: Sequence[ReflectionRequest]) -> list[str | None]:
        """Look up the answer to each request; see `Reflection.reflect`."""
        said = [self._look_up(request) for request in requests]
        self.exchanges = list(said)
        return [extract_template(each.answer, bool(each.cut_off)) for each in said]

    def _look_up(self, request: ReflectionRequest) -> Exchange:
        prompts = map(render_meta_prompt, shortened(request))
        prompt = next((prompt for prompt in prompts if prompt in self._answers), None)
        if prompt is None:
            raise UserError(
                f"run={self.run}: the search asks what it did not ask in that run; replay it with "
                "the settings, data and versions of that run"
            )
        answers = self._answers[prompt]
        self._asked[prompt] += 1
        return answers[(self._asked[prompt] - 1) % len(answers)]
