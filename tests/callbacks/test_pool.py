import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from p2o_callbacks import PromptPool, Template

scores = st.floats(allow_nan=False, allow_infinity=False)


@st.composite
def pools(draw):
    templates = [
        Template(
            draw(st.text()),
            tuple(draw(st.lists(st.integers(0, max(0, index - 1)), max_size=2))),
            draw(scores),
            draw(st.dictionaries(st.text(), scores, max_size=3)),
            draw(st.frozensets(st.text(), max_size=3)),
        )
        for index in range(draw(st.integers(0, 4)))
    ]
    indices = st.integers(0, len(templates) - 1) if templates else st.nothing()
    return PromptPool(
        tuple(templates),
        tuple(draw(st.lists(indices, unique=True))),
        draw(
            st.dictionaries(
                st.text(), st.lists(indices | st.none(), max_size=3).map(tuple), max_size=3
            )
        ),
    )


@given(pools())
def test_a_pool_survives_json(pool):
    assert PromptPool.from_state_dict(json.loads(json.dumps(pool.state_dict()))) == pool


POOL = PromptPool(
    (Template(""), Template("Think.", (0,), 0.5, {"a": 1.0, "b": 0.0})),
    (1,),
    {"a": (1, 0, None)},
)


@pytest.mark.parametrize(
    ("sample", "rollout", "text"),
    [("a", 0, "Think."), ("a", 1, ""), ("a", 2, ""), ("not assigned", 0, "")],
)
def test_a_rollout_has_the_text_that_it_is_assigned_or_none(sample, rollout, text):
    assert POOL.text_for(sample, rollout) == text


def test_a_rollout_beyond_the_group_is_an_error_and_not_a_bare_one():
    with pytest.raises(IndexError):
        POOL.text_for("a", 3)


def test_an_empty_pool_leaves_everybody_bare():
    assert PromptPool().text_for("a", 0) == ""


def test_the_empty_template_is_in_use_nowhere():
    pool = PromptPool((Template(" "), Template("Think."), Template("Add.")), (2, 0, 1))
    assert pool.in_use == (2, 1)
    assert PromptPool().in_use == ()
