"""From chat messages to token ids, with or without a template: one renderer for both."""

from collections.abc import Mapping, Sequence
from typing import Any

from transformers import PreTrainedTokenizerBase

from p2o.data.prompt import Message
from p2o.errors import UserError
from p2o.prompts.template import insert_template

OURS = ("conversation", "tokenize", "add_generation_prompt")
"""Arguments of ``apply_chat_template`` that are always the same."""


class ChatRenderer:
    """Renders conversations with the model's own chat template.

    Bare and templated prompts pass through the same call with the same options, so that they
    differ by the template's text alone.

    Args:
        tokenizer: The policy's tokenizer.
        system_prompt: Put in front as a system message, when given.
        prefix: Put in front of the text of the last message.
        suffix: Put behind the text of the last message.
        options: Passed on to the chat template, for example ``enable_thinking``.

    Raises:
        UserError: The tokenizer has no chat template, or an option is not free.
    """

    def __init__(
        self,
        tokenizer: PreTrainedTokenizerBase,
        system_prompt: str | None = None,
        prefix: str = "",
        suffix: str = "",
        options: Mapping[str, Any] | None = None,
    ) -> None:
        if not tokenizer.chat_template:
            raise UserError(
                f"the tokenizer of '{tokenizer.name_or_path}' has no chat template; "
                "use an instruction-tuned model or set `tokenizer.chat_template` and save it"
            )
        for name in OURS:
            if name in (options or {}):
                raise UserError(f"options.{name}: is not to be chosen here; leave it out")
        self.tokenizer = tokenizer
        self.system_prompt = system_prompt
        self.prefix = prefix
        self.suffix = suffix
        self.options = dict(options or {})

    def render(self, messages: Sequence[Message], template: str = "") -> list[int]:
        """Token ids of the conversation, ready for the assistant's turn.

        Args:
            messages: The conversation; the last message is the user's.
            template: Text for `insert_template`; empty leaves the prompt bare.
        """
        *earlier, last = messages
        text = f"{self.prefix}{last['content']}{self.suffix}"
        return self.render_plain([*earlier, {**last, "content": insert_template(text, template)}])

    def render_plain(self, messages: Sequence[Message]) -> list[int]:
        """Token ids of a conversation that is no task: the system prompt alone is added."""
        if self.system_prompt is not None:
            messages = [{"role": "system", "content": self.system_prompt}, *messages]
        text: Any = self.tokenizer.apply_chat_template(
            [dict(message) for message in messages],
            tokenize=False,
            add_generation_prompt=True,
            **self.options,
        )
        return self.tokenizer(text, add_special_tokens=False)["input_ids"]

    def decode(self, token_ids: Sequence[int]) -> str:
        """The text of a completion, special tokens left out."""
        return str(self.tokenizer.decode(list(token_ids), skip_special_tokens=True))
