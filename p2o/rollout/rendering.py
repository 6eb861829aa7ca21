"""From chat messages to token ids, with or without a template: one renderer for both."""

import inspect
import logging
import re
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Annotated, Any

from pydantic import AfterValidator
from transformers import PreTrainedTokenizerBase

from p2o.errors import UserError
from p2o.hints.insertion import insert_template
from p2o.prompt import Message, as_text
from p2o.rollout.chat_template import render_chat, template_source
from p2o.rollout.marks import Marks, unused_sign

logger = logging.getLogger(__name__)

OURS = ("conversation", "tokenize", "add_generation_prompt")
"""Arguments of ``apply_chat_template`` that are always the same."""

PROBE = "seven 7 tiles"
"""What a user says to try a template out; no template says it of its own."""


def _is_date(text: str) -> str:
    datetime.fromisoformat(text)
    return text


Date = Annotated[str, AfterValidator(_is_date), "with a date such as 2026-01-01"]


class ChatRenderer:
    """Renders conversations with the model's own chat template.

    Bare and templated prompts pass through the same call with the same options, so that they
    differ by the template's text alone. Whatever the text of a turn spells, it stays text: it
    neither ends the turn nor begins another one.

    Args:
        tokenizer: The policy's tokenizer.
        system_prompt: Put in front as a system message, when given.
        prefix: Put in front of the text of the last message.
        suffix: Put behind the text of the last message; None for nothing.
        options: Passed on to the chat template, for example ``enable_thinking``.
        date: What chat templates that write today's date are told.

    Raises:
        UserError: The tokenizer has no chat template, it cannot render a question or leaves it out,
            or an option is not free.
    """

    def __init__(
        self,
        tokenizer: PreTrainedTokenizerBase,
        system_prompt: str | None = None,
        prefix: str = "",
        suffix: str | None = "",
        options: Mapping[str, Any] | None = None,
        date: Date = "2026-01-01",
    ) -> None:
        try:
            self._today = datetime.fromisoformat(str(date))
        except ValueError as error:
            raise UserError(f"date={date}: give a date such as 2026-01-01") from error
        self._marks = Marks(tokenizer, template_source(tokenizer))
        for name in OURS:
            if name in (options or {}):
                raise UserError(f"options.{name}: is not to be chosen here; leave it out")
        self.tokenizer = tokenizer
        self._added = frozenset(tokenizer.added_tokens_decoder)
        self.system_prompt = system_prompt
        self.prefix = prefix
        self.suffix = suffix or ""
        self.options = dict(options or {})
        self._check_template()
        self._warn_of_unread()

    def _check_template(self) -> None:
        """Refuse a template that loses what the user says, as every prompt would be the same."""
        if PROBE not in self._run([{"role": "user", "content": PROBE}]):
            template = self.options.get("chat_template")
            where = "the tokenizer's chat template" if template is None else "options.chat_template"
            shown = "" if template is None else f"={str(template)[:60]!r}"
            raise UserError(
                f"{where}{shown}: leaves out what the user says; give a template that writes "
                "each message's content"
            )
        self.render([{"role": "user", "content": "?"}])

    def _warn_of_unread(self) -> None:
        """Say so when a template does not know an option: it may be another name's misspelling."""
        source = str(self.options.get("chat_template") or template_source(self.tokenizer))
        known = inspect.signature(self.tokenizer.apply_chat_template).parameters
        for name in self.options:
            if name not in known and not re.search(rf"\b{re.escape(name)}\b", source):
                logger.warning(
                    "options.%s: the chat template of '%s' does not read it",
                    name,
                    self.tokenizer.name_or_path,
                )

    def render(
        self,
        messages: Sequence[Message],
        template: str = "",
        turns: Sequence[tuple[str, str]] = (),
    ) -> list[int]:
        """Token ids of the conversation, ready for the assistant's turn.

        Args:
            messages: The conversation; the last message is the user's.
            template: Text for `insert_template`; empty leaves the prompt bare.
            turns: Solved problems, question and answer, shown as turns before the conversation;
                their questions are put as the last message is.

        Raises:
            UserError: The chat template cannot render these turns.
        """
        *earlier, last = messages
        text = self._asked(as_text(last["content"]))
        shown = [
            {"role": role, "content": content}
            for question, answer in turns
            for role, content in (("user", self._asked(question)), ("assistant", answer))
        ]
        # What the system says stands first, whoever says something after it.
        first = sum(message["role"] == "system" for message in earlier[:1])
        asked = {**last, "content": insert_template(text, template)}
        return self.render_plain([*earlier[:first], *shown, *earlier[first:], asked])

    def _asked(self, text: str) -> str:
        return f"{self.prefix}{text}{self.suffix}"

    def render_plain(self, messages: Sequence[Message]) -> list[int]:
        """Token ids of a conversation that is no task: the system prompt alone is added."""
        turns = [{**message, "content": as_text(message["content"])} for message in messages]
        if self.system_prompt is not None:
            turns = [{"role": "system", "content": self.system_prompt}, *turns]
        texts = [text for turn in turns for text in turn.values()]
        if not any(map(self._marks.are_in, texts)):
            return self._marks.tokenise(self._run(turns))
        sign = unused_sign(texts)
        kept = self._read_by_the_template(turns, sign)
        return self._marks.tokenise(self._run(self._cut(turns, sign, kept)), sign)

    def continue_with(self, text: str) -> list[int]:
        """Token ids of text that goes on in the middle of a response; marks in it stay text."""
        sign = unused_sign([text])
        return self._marks.tokenise(sign + self._marks.cut(text, sign), sign)

    def next_turn(self, content: str, role: str, last: int | None = None) -> list[int]:
        """Token ids between what the assistant has said and its next turn.

        They end its turn, hold the other's whole turn, and begin its next one.

        Args:
            content: What the other says; marks in it stay text.
            role: Who the other is, as the chat template calls it.
            last: The last token of what the assistant has said. Where it is the mark that ends a
                turn, it is not repeated.

        Raises:
            UserError: The chat template cannot render such turns.
        """
        sign = unused_sign([content])
        said = unused_sign([content, sign])
        turns = [
            {"role": "user", "content": "?"},
            {"role": "assistant", "content": said},
            {"role": role, "content": self._marks.cut(content, sign)},
        ]
        _, _, after = self._run(turns).rpartition(said)
        ids = self._marks.tokenise(sign + after, sign)
        marks = (place for place, token in enumerate(ids) if token in self._added)
        end = next(marks, None)
        return ids if end is None or ids[end] != last else ids[end + 1 :]

    def decode(self, token_ids: Sequence[int]) -> str:
        """The text of a completion, special tokens left out."""
        return str(self.tokenizer.decode(list(token_ids), skip_special_tokens=True))

    def _run(self, turns: Sequence[Message]) -> str:
        return render_chat(self.tokenizer, turns, self._today, self.options)

    def _cut(self, turns: Sequence[Message], sign: str, kept: frozenset[str]) -> list[Message]:
        """The turns with a sign in every mark; an assistant's turn keeps some marks."""
        return [
            {
                key: self._marks.cut(text, sign, kept if turn["role"] == "assistant" else _NONE)
                for key, text in turn.items()
            }
            for turn in turns
        ]

    def _read_by_the_template(self, turns: Sequence[Message], sign: str) -> frozenset[str]:
        """Marks that the template looks for in what an assistant said, such as ``</think>``."""
        said = "".join(turn["content"] for turn in turns if turn["role"] == "assistant")
        spoken = frozenset(mark for mark in self._marks.spoken if mark in said)
        without = self._run(self._cut(turns, sign, spoken)) if spoken else ""
        return frozenset(
            mark
            for mark in spoken
            if self._run(self._cut(turns, sign, spoken - {mark})).replace(sign, "")
            != without.replace(sign, "")
        )


_NONE: frozenset[str] = frozenset()
