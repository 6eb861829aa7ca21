from collections import Counter
from importlib.resources import files

import pytest
from hypothesis import given
from hypothesis import strategies as st

from p2o.errors import UserError
from p2o.reflection import Phrasebook, ReflectionRequest

BOOK = Phrasebook()
SEEDS = st.integers(0, 2**63 - 1)
SIZES = st.integers(1, 6)
SCORES = st.lists(st.sampled_from([0.0, 1.0]), max_size=3)
TEMPLATES = st.lists(st.sampled_from(BOOK.phrases), max_size=6, unique=True).map(" ".join)


def propose(template, scores=(), seed=0, book=BOOK):
    request = ReflectionRequest(
        template, [{"score": score, "solved": score >= 1} for score in scores], seed
    )
    (child,) = book.reflect([request])
    assert child is not None
    return child


def parts_of(template):
    """The embedded phrases in a template of phrases alone."""
    parts = [part if part.endswith(".") else f"{part}." for part in template.split(". ") if part]
    assert set(parts) <= set(BOOK.phrases)
    return parts


@given(TEMPLATES, SCORES, SEEDS, SIZES)
def test_a_child_is_new_without_repetition_and_not_too_long(template, scores, seed, size):
    child = propose(template, scores, seed, Phrasebook(max_phrases=size))
    parts = parts_of(child)
    assert child != template
    assert len(set(parts)) == len(parts) <= size


@given(st.text(), SCORES, SEEDS, SIZES)
def test_a_child_of_any_text_is_new(template, scores, seed, size):
    assert propose(template, scores, seed, Phrasebook(max_phrases=size)) != template


@pytest.fixture(scope="module")
def nested_book(tmp_path_factory):
    """Phrases that are parts of each other."""
    path = tmp_path_factory.mktemp("book") / "phrases.txt"
    path.write_text("a\na a\nb\na b\nc a b\n")
    return str(path)


@given(
    st.lists(st.sampled_from(["a", "a a", "b", "a b", "c a b"]), max_size=5), SCORES, SEEDS, SIZES
)
def test_a_child_is_new_even_where_phrases_overlap(nested_book, parts, scores, seed, size):
    parent = " ".join(parts)
    assert propose(parent, scores, seed, Phrasebook(nested_book, size)) != parent


@given(TEMPLATES, SCORES, SEEDS)
def test_a_child_is_one_change_away(template, scores, seed):
    child, parent = parts_of(propose(template, scores, seed)), parts_of(template)[:4]
    assert len(set(child) - set(parent)) <= 1
    assert len(set(parent) - set(child)) <= 1


@given(TEMPLATES, SCORES, SEEDS)
def test_a_seed_repeats(template, scores, seed):
    again = Phrasebook()
    assert propose(template, scores, seed) == propose(template, scores, seed, again)


@pytest.mark.parametrize("template", ["", "Stay calm.", "Stay calm. Be brief. Unknown."])
@pytest.mark.parametrize("scores", [(0.0,), (0.0, 1.0)])
def test_every_phrase_can_be_reached(template, scores):
    children = [propose(template, scores, seed) for seed in range(400)]
    for phrase in BOOK.phrases:
        assert phrase in template or any(phrase in child for child in children)


def kinds(scores, template="Stay calm. Be brief."):
    size = len(parts_of(template))
    counts = Counter(len(parts_of(propose(template, scores, seed))) - size for seed in range(500))
    return {"add": counts[1] / 500, "swap": counts[0] / 500, "drop": counts[-1] / 500}


def test_a_parent_that_solved_nothing_is_mostly_added_to_or_swapped():
    share = kinds((0.0, 0.0, 0.0))
    assert share["add"] > 0.35
    assert share["swap"] > 0.35
    assert 0 < share["drop"] < 0.2


def test_a_parent_that_solved_some_is_mostly_swapped():
    share = kinds((0.0, 1.0, 0.0))
    assert share["swap"] > 0.5
    assert share["add"] > 0.1
    assert share["drop"] > 0.05


@given(SEEDS, SCORES)
def test_the_empty_template_gets_one_phrase(seed, scores):
    assert propose("", scores, seed) in BOOK.phrases
    assert propose("  \n", scores, seed) in BOOK.phrases


@given(SEEDS)
def test_unknown_text_counts_as_one_leading_phrase(seed):
    unknown = "Be brief. Hum a\nsong."
    child = propose(f"{unknown} Stay calm. Draw a picture first.", (1.0,), seed)
    known = child.removeprefix(unknown).strip()
    assert "Hum" not in known
    assert child.count("Be brief.") <= 1
    assert len(parts_of(known)) + child.startswith(unknown) in (2, 3, 4)


def test_a_book_of_one_phrase_goes_back_to_the_empty_template(tmp_path):
    path = tmp_path / "one.txt"
    path.write_text("Only this.\n")
    book = Phrasebook(str(path))
    assert propose("", book=book) == "Only this."
    assert propose("Only this.", book=book) == ""


def test_a_file_is_read_line_by_line(tmp_path):
    path = tmp_path / "phrases.txt"
    path.write_text("\n Nimm dir Zeit für  alles. \r\n\nNoch eins\nNoch eins\n", encoding="utf-8")
    assert Phrasebook(str(path)).phrases == ["Nimm dir Zeit für alles.", "Noch eins"]


def test_the_default_is_the_embedded_book():
    text = (files("p2o.world") / "phrasebook.txt").read_text()
    assert text.splitlines() == BOOK.phrases


@pytest.mark.parametrize("content", [None, b"", b" \n\n", b"\xff\xfe\xff"])
def test_a_missing_or_empty_file_is_the_users_error(tmp_path, content):
    path = tmp_path / "phrases.txt"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(UserError, match=r"^path=.*phrases\.txt.*one phrase a line"):
        Phrasebook(str(path))


def test_sizes_below_one_are_refused():
    with pytest.raises(UserError, match=r"^max_phrases=0"):
        Phrasebook(max_phrases=0)
