import pytest
from hypothesis import given
from hypothesis import strategies as st

from p2o.prompts.template import insert_template


@pytest.mark.parametrize("template", ["", " ", "\n\t "])
@given(text=st.text())
def test_an_empty_template_is_the_identity(template: str, text: str) -> None:
    assert insert_template(text, template) == text


@given(st.text(), st.text().filter(str.strip))
def test_template_blank_line_text(text: str, template: str) -> None:
    assert insert_template(text, template) == template.strip() + "\n\n" + text
