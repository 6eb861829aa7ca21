"""Run a model's chat template: a program of somebody else's, kept to one date and a deadline."""

import signal
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime
from types import FrameType
from typing import Any

from jinja2 import TemplateError
from transformers import PreTrainedTokenizerBase

from p2o.errors import UserError

SECONDS = 10.0
"""Of the process's own computing, within which a template has to end."""
FAILURES = (
    TemplateError,
    ArithmeticError,
    AttributeError,
    LookupError,
    MemoryError,
    RecursionError,
    TimeoutError,
    TypeError,
    ValueError,
)
"""What a template may raise; it is a program."""


def template_source(tokenizer: PreTrainedTokenizerBase) -> str:
    """The template that a conversation is rendered with.

    Raises:
        UserError: The tokenizer has none, or several and none of them is the default.
    """
    name = tokenizer.name_or_path
    if not tokenizer.chat_template:
        raise UserError(
            f"the tokenizer of '{name}' has no chat template; "
            "use an instruction-tuned model or set `tokenizer.chat_template` and save it"
        )
    try:
        return str(tokenizer.get_chat_template())
    except ValueError as error:
        raise UserError(
            f"the tokenizer of '{name}' has several chat templates and none named default; "
            "set `tokenizer.chat_template` to one of them and save it"
        ) from error


def render_chat(
    tokenizer: PreTrainedTokenizerBase,
    messages: Sequence[Mapping[str, str]],
    today: datetime,
    options: Mapping[str, Any],
) -> str:
    """The text of a conversation, ready for the assistant's turn.

    Args:
        tokenizer: Has the template.
        messages: The conversation.
        today: What the template is told of the date, so that a run is the same on another day.
        options: Passed on to the template.

    Raises:
        UserError: The template refuses these turns, fails, or does not end.
    """
    try:
        with computing_limit(SECONDS):
            text: Any = tokenizer.apply_chat_template(
                [dict(message) for message in messages],
                tokenize=False,
                add_generation_prompt=True,
                **{"strftime_now": today.strftime, **options},
            )
    except FAILURES as error:
        roles = ", ".join(message["role"] for message in messages)
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise UserError(
            f"the chat template of '{tokenizer.name_or_path}' cannot render the turns "
            f"{roles} ({reason}); check the renderer's options, put a system prompt into its "
            "prefix instead, or merge turns of the data"
        ) from error
    return str(text)


@contextmanager
def computing_limit(seconds: float) -> Iterator[None]:
    """Stop what runs inside after so many seconds of computing; the main thread's work alone.

    Time that the machine spends on other processes does not count.

    Raises:
        TimeoutError: It took longer.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def stop(number: int, frame: FrameType | None) -> None:
        raise TimeoutError(f"it did not end within {seconds:g} seconds")

    before = signal.signal(signal.SIGVTALRM, stop)
    signal.setitimer(signal.ITIMER_VIRTUAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_VIRTUAL, 0)
        signal.signal(signal.SIGVTALRM, before)
