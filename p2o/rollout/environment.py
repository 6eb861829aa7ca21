"""What happens between a prompt and its verdict: one turn of the policy's, or several.

An environment is straight-line code for one rollout. It asks the policy to go on, reads what came,
and puts tokens of its own behind it. How many rollouts share a call of the engine is not its
concern; see `p2o.rollout.turns`.
"""

from collections.abc import Generator, Sequence
from dataclasses import dataclass
from typing import Protocol

from p2o.errors import UserError
from p2o.prompt import Prompt
from p2o.rollout.engine import Completion
from p2o.rollout.rendering import ChatRenderer
from p2o.rollout.response import Response


class EnvironmentFailed(Exception):
    """Raised in an environment when a rollout can have no verdict, as where a tool is down.

    The rollout then counts as neither right nor wrong and carries no gradient; the run goes on.
    """


@dataclass(frozen=True)
class Ask:
    """What a rollout waits for: tokens of the policy's.

    Attributes:
        max_new_tokens: Of this turn; None for all that may still be sampled.
        stop_token_ids: Tokens that end the turn besides the model's own end tokens.
    """

    max_new_tokens: int | None
    stop_token_ids: tuple[int, ...]

    def __await__(self) -> Generator["Ask", Completion, Completion]:
        """Hand this over to whoever drives the rollout, and take the turn from it."""
        return (yield self)


class Sampler:
    """What an environment sees of one rollout.

    Args:
        response: What follows the prompt so far.
        renderer: Makes token ids of text, and text of token ids.
    """

    def __init__(self, response: Response, renderer: ChatRenderer) -> None:
        self._response, self.renderer = response, renderer

    @property
    def token_ids(self) -> tuple[int, ...]:
        """All tokens behind the prompt so far, whoever put them there."""
        return tuple(self._response.token_ids)

    @property
    def text(self) -> str:
        """Their text, special tokens left out."""
        return self.renderer.decode(self._response.token_ids)

    @property
    def remaining(self) -> int:
        """How many tokens may still be sampled."""
        return self._response.remaining

    def token(self, text: str) -> int:
        """The id of the one token that a text is, such as a tag that ends a turn.

        Raises:
            UserError: The tokenizer makes several tokens of it.
        """
        ids = self.renderer.tokenizer(text, add_special_tokens=False)["input_ids"]
        if len(ids) != 1:
            raise UserError(f"{text!r} is {len(ids)} tokens; name one that the tokenizer knows")
        return ids[0]

    async def sample(
        self, max_new_tokens: int | None = None, stop_token_ids: Sequence[int] = ()
    ) -> str:
        """Let the policy go on until it ends its turn; returns the text of this turn.

        When all tokens that a rollout may sample are used up, the rollout ends here, cut off: no
        line after this one is run, except for ``finally``.

        Args:
            max_new_tokens: Of this turn; None for all that may still be sampled.
            stop_token_ids: Tokens that end this turn besides the model's own end tokens. The one
                that is drawn is the turn's last token.

        Raises:
            UserError: `max_new_tokens` is below 1.
        """
        if max_new_tokens is not None and max_new_tokens < 1:
            raise UserError(f"max_new_tokens={max_new_tokens}: give at least 1, or None")
        completion = await Ask(max_new_tokens, tuple(stop_token_ids))
        return self.renderer.decode(completion.token_ids)

    def insert(self, text: str) -> None:
        """Put text behind what is there; the policy reads it and is not trained on it.

        Whatever the text spells, it stays text: it ends no turn and begins none.
        """
        self.insert_ids(self.renderer.continue_with(text))

    def insert_turn(self, content: str, role: str = "user") -> None:
        """End the policy's turn, let another speak, and open the policy's next turn.

        Args:
            content: What the other says; it stays text.
            role: Who the other is, as the chat template calls it, such as ``tool``.

        Raises:
            UserError: The chat template has no such turns.
        """
        last = self._response.token_ids[-1] if self._response.token_ids else None
        self.insert_ids(self.renderer.next_turn(content, role, last))

    def insert_ids(self, token_ids: Sequence[int]) -> None:
        """Put tokens behind what is there; the policy reads them and is not trained on them.

        Where they do not fit into what the engine takes, none is put there and the rollout ends
        with the next `sample`, cut off.

        Raises:
            UserError: One of them is no token.
        """
        size = len(self.renderer.tokenizer)
        strange = [token for token in token_ids if not 0 <= token < size]
        if strange:
            raise UserError(f"token {strange[0]} is none of the {size} of the tokenizer")
        self._response.insert(token_ids)


class Environment(Protocol):
    """How a rollout goes."""

    async def run(self, problem: Prompt, hint: str, sampler: Sampler) -> str | None:
        """Make one rollout; nothing but the sampler's methods may be awaited.

        It comes back as a text, not as a `Rollout`: token ids and the verdict are the runner's to
        put together, the same way for every environment.

        Args:
            problem: What was asked; its tokens stand in front of the response already.
            hint: The template in front of it; empty without one.
            sampler: Samples tokens of the policy's and takes tokens of the environment's.

        Returns:
            The text that the verifier gets; None for that of the whole response.

        Raises:
            EnvironmentFailed: There can be no verdict on this rollout.
        """
        ...


class SingleTurn:
    """One turn of the policy's, and no more."""

    async def run(self, problem: Prompt, hint: str, sampler: Sampler) -> None:
        """See `Environment.run`."""
        await sampler.sample()
