"""Tokens of a completion as text: joined, they are what the tokenizer makes of all of them."""

import pytest

from p2o.rollout.pieces import pieces
from tests.rollout.tokenizers_of_kinds import (
    byte_level,
    in_python,
    sentencepiece_bpe,
    unigram,
    words,
)

TEXTS = ("Natalia sold 48 clips, and 24 more.", "größer als 3 €, 漢字 😀!", " two  spaces ", "")


@pytest.mark.parametrize("make", [byte_level, unigram, sentencepiece_bpe, in_python, words])
@pytest.mark.parametrize("text", TEXTS)
def test_joined_they_are_the_text_of_all(make, text):
    tokenizer = make()
    ids = tokenizer.encode(text, add_special_tokens=False)
    found = pieces(tokenizer, ids)
    assert len(found) == len(ids)
    assert "".join(found) == tokenizer.decode(ids, clean_up_tokenization_spaces=False)


def test_a_character_of_several_tokens_belongs_to_the_last_of_them():
    tokenizer = byte_level()
    ids = tokenizer.encode("a😀b", add_special_tokens=False)
    assert len(ids) == 6
    assert pieces(tokenizer, ids) == ["a", "", "", "", "😀", "b"]


def test_a_character_that_was_cut_off_is_shown_as_such():
    tokenizer = byte_level()
    ids = tokenizer.encode("a😀", add_special_tokens=False)[:-1]
    found = pieces(tokenizer, ids)
    assert found[:-1] == ["a", "", ""]
    assert set(found[-1]) == {"\ufffd"}


def test_the_mark_that_ends_a_turn_is_written():
    tokenizer = byte_level()
    ids = [*tokenizer.encode("so", add_special_tokens=False), tokenizer.eos_token_id]
    assert pieces(tokenizer, ids)[-1] == "<|im_end|>"
