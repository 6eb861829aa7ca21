import pytest
from hypothesis import given
from hypothesis import strategies as st

from p2o.hints.insertion import LONGEST, insert_template, read_template


@pytest.mark.parametrize("template", ["", " ", "\n\t "])
@given(text=st.text())
def test_an_empty_template_is_the_identity(template: str, text: str) -> None:
    assert insert_template(text, template) == text


@given(st.text(), st.text().filter(str.strip))
def test_template_blank_line_text(text: str, template: str) -> None:
    assert insert_template(text, template) == template.strip() + "\n\n" + text


@given(text=st.text().filter(str.strip))
def test_what_was_written_is_read_without_the_space_around_it(text: str) -> None:
    assert read_template(f" \n{text}\t") == text.strip()


@pytest.mark.parametrize(
    "written",
    [None, "", " \n", "x" * (LONGEST + 1), "half a pair: \ud83d", "\udc00"],
    ids=["failed", "empty", "white space", "too long", "half a pair", "the other half"],
)
def test_what_can_be_no_template_is_none(written: str | None) -> None:
    assert read_template(written) is None


def test_a_long_template_is_one() -> None:
    assert read_template("x" * LONGEST + "\n") == "x" * LONGEST
