import pytest
from hypothesis import given
from hypothesis import strategies as st

from p2o.objectives import opening_contrast, reward_spread


@pytest.mark.parametrize(
    ("advantages", "openings", "expected"),
    [
        ([1.0, 1.0, -1.0, -1.0], "aaaa", 0.0),
        ([1.0, 1.0, -1.0, -1.0], "aabb", 1.0),
        ([1.0, 1.0, -1.0, -1.0], "abab", 0.0),
        ([1.5, -0.5, -0.5, -0.5], "aabb", 0.667),
        ([0.0, 0.0], "ab", 0.0),
    ],
)
def test_opening_contrast(advantages: list[float], openings: str, expected: float) -> None:
    assert opening_contrast(advantages, openings) == pytest.approx(expected, abs=1e-3)


@given(st.lists(st.tuples(st.floats(-5, 5), st.integers(0, 3)), min_size=1))
def test_opening_contrast_is_a_share(pairs: list[tuple[float, int]]) -> None:
    advantages, openings = zip(*pairs, strict=True)
    assert 0 <= opening_contrast(advantages, openings) <= 1 + 1e-9


@pytest.mark.parametrize(
    ("rewards", "templates", "expected"),
    [
        ([1.0, 1.0, 0.0, 0.0], "aabb", 0.5),
        ([1.0, 0.0, 1.0, 0.0], "aabb", 0.0),
        ([1.0, 0.0, 0.0, 0.0], "aaaa", 0.0),
        ([1.0, 1.0, 1.0, 0.0], "aaab", 0.5),
    ],
)
def test_reward_spread(rewards: list[float], templates: str, expected: float) -> None:
    assert reward_spread(rewards, templates) == pytest.approx(expected)
