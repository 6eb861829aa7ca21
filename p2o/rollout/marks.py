"""Text that spells a token of a chat template stays text."""

import re
from collections import defaultdict
from collections.abc import Sequence
from typing import Any

from transformers import PreTrainedTokenizerBase

REPLACEMENT = "\ufffd"
"""In place of a mark of one character, which has no middle to be cut at."""


class Marks:
    """The tokens that stand between turns: text may spell them, and must not become them.

    These are a tokenizer's special tokens, and those of its other added tokens that the chat
    template writes. Text that spells one is cut behind its first character, and the pieces are
    tokenised one by one. Text that spells none is tokenised as it is.

    A template whose marks are ordinary words, such as ``USER:``, has no tokens to keep apart.

    Args:
        tokenizer: The policy's tokenizer.
        source: Its chat template.
    """

    def __init__(self, tokenizer: PreTrainedTokenizerBase, source: str) -> None:
        self._tokenizer: Any = tokenizer
        added = list(tokenizer.added_tokens_decoder.values())
        special = {t.content for t in added if t.special} | set(tokenizer.all_special_tokens)
        named = {t.content for t in added if t.content in source}
        self._all = frozenset(mark for mark in special | named if mark.strip())
        self.spoken = self._all - special
        """Marks that are no special tokens; a template may look for them in an assistant's turn."""
        backend = getattr(tokenizer, "backend_tokenizer", None)
        self._normalizer: Any = None if backend is None else backend.normalizer
        # Some are looked for in normalised text, where a word's start is a "▁".
        normal = [t.content for t in added if t.normalized and t.content in self._all]
        variants = {self._normalised(mark).strip("▁") for mark in normal}
        self._pattern = _starts(self._all | variants)
        whole = (t.content for t in added if t.special and not t.rstrip)
        self._anchor = next((mark for mark in whole if len(self._encode(mark)) == 1), "")

    def are_in(self, text: str) -> bool:
        """Whether text spells a mark, as it is or once the tokenizer has normalised it."""
        found = self._pattern.search
        return bool(found(text) or found(self._normalised(text)))

    def cut(self, text: str, sign: str, kept: frozenset[str] = frozenset()) -> str:
        """Put a sign into every mark that text spells.

        Args:
            text: Of a turn.
            sign: Text that occurs nowhere in it.
            kept: Marks to leave alone.
        """
        pattern = _starts(self._all - kept) if kept else self._pattern
        normalised = self._normalised(text)
        if len(pattern.findall(normalised)) > len(pattern.findall(text)):
            text = normalised
        return pattern.sub(
            lambda match: (REPLACEMENT if match[0] in self._all else match[0]) + sign, text
        )

    def tokenise(self, text: str, sign: str | None = None) -> list[int]:
        """Token ids of a rendered conversation, without the signs in it."""
        if sign is None:
            return self._encode(text)
        first, *others = text.split(sign)
        ids = self._encode(first)
        for piece in others:
            ids += self._encode_behind(piece)
        return ids

    def _encode(self, text: str) -> list[int]:
        return list(self._tokenizer(text, add_special_tokens=False)["input_ids"])

    def _encode_behind(self, piece: str) -> list[int]:
        """Token ids of text that does not begin a word, for which some tokenizers add a space."""
        anchor = self._encode(self._anchor)
        ids = self._encode(self._anchor + piece)
        return ids[len(anchor) :] if ids[: len(anchor)] == anchor else self._encode(piece)

    def _normalised(self, text: str) -> str:
        return text if self._normalizer is None else str(self._normalizer.normalize_str(text))


def unused_sign(texts: Sequence[str]) -> str:
    """A text of private characters that is in none of the others."""
    sign = "\ue000"
    while any(sign in text for text in texts):
        sign += "\ue001"
    return sign


def _starts(marks: frozenset[str]) -> re.Pattern[str]:
    """A pattern of the first characters of marks, also of marks that overlap."""
    rests: dict[str, list[str]] = defaultdict(list)
    for mark in sorted(filter(None, marks)):
        rests[re.escape(mark[0])].append(re.escape(mark[1:]))
    return re.compile("|".join(f"{first}(?={'|'.join(r)})" for first, r in rests.items()) or "(?!)")
