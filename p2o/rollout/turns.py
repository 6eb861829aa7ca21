"""Drive many environments at once, so that those that wait for tokens share one engine call.

Environments are coroutines that wait for nothing but tokens. So there is no event loop: each runs
until it waits, one engine call answers all that wait, and each goes on with what it got.
"""

import inspect
import traceback
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from operator import itemgetter

from p2o.errors import UserError, first_line
from p2o.prompt import Prompt
from p2o.rollout.engine import Completion, RolloutEngine, SamplingParameters, check_lengths
from p2o.rollout.environment import Ask, Environment, EnvironmentFailed, Sampler
from p2o.rollout.rendering import ChatRenderer
from p2o.rollout.response import Response
from p2o.running.distributed import maximum, together
from p2o.running.seeds import derive_seed


@dataclass(frozen=True)
class Start:
    """Where a rollout begins.

    Attributes:
        problem: What is asked.
        hint: The template in front of it; empty without one.
        context: Token ids of both.
        seed: Of its draws: of the first turn's as it is, of turn n's as derived with n.
        prefix: Token ids that begin the response and that the policy has not chosen.
        learned: Whether it is trained on them as if it had.
    """

    problem: Prompt
    hint: str
    context: Sequence[int]
    seed: int
    prefix: Sequence[int] = ()
    learned: bool = False


@dataclass(frozen=True)
class Episode:
    """What came of it.

    Attributes:
        completion: The tokens behind the prompt.
        text: What the verifier is to read.
        failure: Why there can be no verdict; None where there can.
    """

    completion: Completion
    text: str
    failure: str | None = None


def play(
    environment: Environment,
    engine: RolloutEngine,
    renderer: ChatRenderer,
    starts: Sequence[Start],
    sampling: SamplingParameters,
) -> list[Episode]:
    """Make one rollout of each start.

    A rollout depends on its own start alone, not on the others. Collective: every rank makes as
    many calls of the engine as the rank whose rollouts take the most.

    Args:
        environment: How a rollout goes.
        engine: Samples tokens.
        renderer: Makes text of token ids, and token ids of text.
        starts: Of this rank's rollouts.
        sampling: How to draw tokens; `max_new_tokens` is for all turns of a rollout together.

    Raises:
        UserError: A prompt leaves no room for a response, or the environment failed.
    """
    players: list[_Player] = []
    stack = ExitStack()

    def begin() -> None:
        limit = getattr(engine, "max_length", None)
        check_lengths([(*s.context, *s.prefix) for s in starts], sampling, limit)
        for start in starts:
            response = Response(start.context, sampling.max_new_tokens, limit)
            response.insert(start.prefix, learned=start.learned)
            players.append(_Player(environment, start, Sampler(response, renderer), response))
            stack.callback(players[-1].close)
        for player in players:
            player.go_on()

    with stack:
        together(begin)
        while maximum(sum(player.ask is not None for player in players)):
            together(lambda: _round(engine, players, sampling))
        return together(lambda: [player.episode(renderer) for player in players])


def _round(
    engine: RolloutEngine, players: Sequence["_Player"], sampling: SamplingParameters
) -> None:
    """One engine call for as many of those that wait as can share it; the others wait on.

    Those share it that ask for the same as the one that is the furthest behind. A call has one
    limit of new tokens, the largest that any of them may have. What a seed gives does not depend on
    that limit, and each takes no more than it may have; one that may have less than half of it
    waits, for most would be thrown away.
    """
    asks = [(player.response.turns, player.ask) for player in players if player.ask is not None]
    _, ask = min(asks, key=itemgetter(0), default=(0, Ask(None, ())))
    wanted = {
        player: player.response.limit(ask.max_new_tokens) for player in players if player.ask == ask
    }
    most = max(wanted.values(), default=sampling.max_new_tokens)
    sharing = [
        player
        for player, limit in wanted.items()
        if 2 * limit >= most and player.response.has_room(most)
    ]
    completions = engine.generate(
        [(*player.start.context, *player.response.token_ids) for player in sharing],
        replace(
            sampling,
            max_new_tokens=most,
            stop_token_ids=(*sampling.stop_token_ids, *ask.stop_token_ids),
        ),
        [player.seed for player in sharing],
    )
    for player, completion in zip(sharing, completions, strict=True):
        player.take(completion, wanted[player])


class _Player:
    """One rollout, driven by hand.

    Args:
        environment: How it goes.
        start: Where it begins.
        sampler: What the environment sees of it.
        response: Empty yet.

    Attributes:
        ask: What it waits for; None before it has begun and when it has ended.
    """

    def __init__(
        self, environment: Environment, start: Start, sampler: Sampler, response: Response
    ) -> None:
        self.start, self.response = start, response
        self.ask: Ask | None = None
        self._text: str | None = None
        self._failure: str | None = None
        self._name = type(environment).__qualname__
        with self._blamed():
            self._coroutine = environment.run(start.problem, start.hint, sampler)
        if not inspect.iscoroutine(self._coroutine):
            raise UserError(f"environment {self._name}: run has to be written as 'async def run'")
        self._name = self._coroutine.__qualname__.removesuffix(".run")

    @property
    def seed(self) -> int:
        """Of the draws of the next turn."""
        turn = self.response.turns
        return derive_seed(self.start.seed, "turn", turn) if turn else self.start.seed

    def go_on(self, turn: Completion | None = None) -> None:
        """Run the environment's code until it waits again or ends."""
        self.ask = None
        with self._blamed():
            try:
                ask = self._coroutine.send(turn)
            except StopIteration as end:
                self._text = end.value
                return
            except EnvironmentFailed as failure:
                self._failure = " ".join(str(failure).split()) or "no reason given"
                return
        if not isinstance(ask, Ask):
            raise UserError(
                f"environment {self._name}: it awaits {type(ask).__name__}; nothing but "
                "sampler.sample() may be awaited"
            )
        if self.response.remaining:
            self.ask = ask
        else:
            self._cut_off()

    def take(self, completion: Completion, limit: int) -> None:
        """Add a turn of the policy's, which may have `limit` tokens, and go on."""
        turn = self.response.sampled(completion, limit)
        if turn.finish_reason == "length" and not self.response.remaining:
            self._cut_off()
        else:
            self.go_on(turn)

    def episode(self, renderer: ChatRenderer) -> Episode:
        """What came of it."""
        if not self.response.turns and self._failure is None:
            raise UserError(
                f"environment {self._name}: a rollout of prompt {self.start.problem.id} ended "
                "before the policy had a turn; await sampler.sample(), and insert less before it"
            )
        completion = self.response.completion()
        if self._text is not None and not isinstance(self._text, str):
            raise UserError(
                f"environment {self._name}: run returned {type(self._text).__name__}; return the "
                "text for the verifier, or nothing"
            )
        text = renderer.decode(completion.token_ids) if self._text is None else self._text
        return Episode(completion, text, self._failure)

    def close(self) -> None:
        """End it, whether or not its code has come to an end."""
        with self._blamed():
            self._coroutine.close()

    def _cut_off(self) -> None:
        self.ask = None
        self.response.cut_off()
        self.close()

    @contextmanager
    def _blamed(self) -> Iterator[None]:
        """Say in one line what an environment's code did wrong, and where.

        Raises:
            UserError: It did.
        """
        try:
            yield
        except UserError as error:
            raise UserError(f"environment {self._name}: {error}") from error
        except Exception as error:  # An environment is anybody's code and may throw anything.
            place = traceback.extract_tb(error.__traceback__)[-1]
            raise UserError(
                f"environment {self._name}: {type(error).__name__} in line {place.lineno} of "
                f"{place.filename} ({first_line(error)})"
            ) from error
