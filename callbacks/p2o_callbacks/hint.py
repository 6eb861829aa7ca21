"""A hint: what stands around a problem when it is rolled out. Plain data."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import KW_ONLY, dataclass
from typing import Any, TypeAlias


@dataclass(frozen=True)
class Hint:
    """What stands around a problem.

    Attributes:
        text: What is put in front of the question.
        turns: Solved problems, question and answer, shown before it as chat turns of their own.
        prefix: How the answer begins; the policy goes on from there.
        columns: Whether ``{name}`` in `text` and `prefix` stands for a column of the problem's own,
            and ``{name:50%}`` for its first half. Else braces are text like any other.
        learned: Whether the policy is trained on `prefix` as if it had chosen these tokens.
    """

    text: str
    _: KW_ONLY
    turns: tuple[tuple[str, str], ...] = ()
    prefix: str = ""
    columns: bool = False
    learned: bool = False

    @property
    def empty(self) -> bool:
        """Whether a problem with this hint is a bare one."""
        return not (self.text.strip() or self.turns or self.prefix.strip())

    @property
    def is_text(self) -> bool:
        """Whether it is nothing but a text, as an instruction is."""
        return not (self.turns or self.prefix or self.columns)

    @property
    def label(self) -> str:
        """A name: the text, or JSON where there is more; empty where the hint is."""
        if self.empty:
            return ""
        return self.text if self.is_text else json.dumps(self.content(), ensure_ascii=False)

    @property
    def simplest(self) -> "HintOrText":
        """The same as it is passed on: a text where it is nothing but one."""
        if self.is_text:
            return self.text
        return Hint(
            self.text,
            turns=self.turns,
            prefix=self.prefix,
            columns=self.columns,
            learned=self.learned,
        )

    def content(self) -> dict[str, Any]:
        """Primitives only; what is as it is in an instruction is left out."""
        content: dict[str, Any] = {"text": self.text}
        if self.turns:
            content["turns"] = [list(turn) for turn in self.turns]
        if self.prefix:
            content["prefix"] = self.prefix
        if self.columns:
            content["columns"] = True
        if self.learned:
            content["learned"] = True
        return content


def names_text(label: str) -> bool:
    """Whether a label is that of a hint which is nothing but a text."""
    return not label.startswith('{"text": ')


HintOrText: TypeAlias = str | Hint
"""What a search tries: a hint, or a text, which is the hint that stands in front of a question."""


def as_hint(given: HintOrText) -> Hint:
    """The hint that is given, be it as a text."""
    return Hint(given) if isinstance(given, str) else given


def more_than_text(content: Mapping[str, Any]) -> dict[str, Any]:
    """Arguments of `Hint` beside its text, of what `Hint.content` wrote."""
    turns: Sequence[Sequence[str]] = content.get("turns", ())
    return {
        "turns": tuple((question, answer) for question, answer in turns),
        "prefix": content.get("prefix", ""),
        "columns": content.get("columns", False),
        "learned": content.get("learned", False),
    }
