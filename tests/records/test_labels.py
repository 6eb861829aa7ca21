"""Labels as records read them are those that the callbacks write."""

from hypothesis import given
from hypothesis import strategies as st

from p2o.records.labels import in_words, label_of
from p2o_callbacks import Hint

TEXTS = st.text(max_size=8)
HINTS = st.builds(
    Hint,
    TEXTS,
    turns=st.lists(st.tuples(TEXTS, TEXTS), max_size=2).map(tuple),
    prefix=TEXTS,
    columns=st.booleans(),
    learned=st.booleans(),
)


@given(HINTS)
def test_a_label_is_read_as_it_is_written(hint):
    assert label_of({"score": 0.5, **hint.content()}) == hint.label


@given(HINTS)
def test_words_hold_all_that_a_hint_shows(hint):
    said = in_words(hint.label)
    if not hint.empty:
        parts = (hint.text, hint.prefix, *(text for turn in hint.turns for text in turn))
        assert all(part in said for part in parts)


def test_a_text_that_looks_like_a_label_is_a_text():
    for text in ("[1, 2]", '{"answer": 4}', "42", "null"):
        assert in_words(Hint(text).label) == text
