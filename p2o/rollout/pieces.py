"""Which text each token of a completion stands for."""

from collections.abc import Sequence

from transformers import PreTrainedTokenizerBase

UNFINISHED = "\ufffd"
"""What a tokenizer writes for bytes that are no whole character yet."""


def pieces(tokenizer: PreTrainedTokenizerBase, token_ids: Sequence[int]) -> list[str]:
    """The text that each token adds to those before it; special tokens as they are written.

    A token that ends within a character adds nothing, and the one that completes it all of it.
    Joined, they are the whole text.

    Args:
        tokenizer: The policy's.
        token_ids: `[T]`.

    Returns:
        `[T]`.
    """
    ids, found = list(token_ids), []
    # A token is read with those since `begin`, as some begin with a space only behind others.
    begin, end = 0, 0
    for place in range(1, len(ids) + 1):
        known, text = _text(tokenizer, ids[begin:end]), _text(tokenizer, ids[begin:place])
        # Some tokenizers write nothing for them.
        unfinished = text.endswith(UNFINISHED) or text == known
        if unfinished and place < len(ids):
            found.append("")
            continue
        found.append(text[len(known) :])
        begin, end = end, place
    return found


def _text(tokenizer: PreTrainedTokenizerBase, ids: list[int]) -> str:
    return str(tokenizer.decode(ids, clean_up_tokenization_spaces=False))
