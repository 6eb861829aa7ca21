import pytest
from hypothesis import given
from hypothesis import strategies as st

from p2o.evolution.split import split_hard_set


@pytest.mark.parametrize(
    ("size", "train", "dev"), [(1000, 700, 300), (450, 150, 300), (449, 225, 224), (2, 1, 1)]
)
def test_sizes(size: int, train: int, dev: int) -> None:
    parts = split_hard_set([str(index) for index in range(size)], 300, seed=0)
    assert tuple(map(len, parts)) == (train, dev)


@given(st.sets(st.text(max_size=3), min_size=2), st.integers(1, 20), st.integers(0, 3))
def test_parts_are_disjoint_whole_and_do_not_depend_on_order(
    samples: set[str], dev_size: int, seed: int
) -> None:
    train, dev = split_hard_set(list(samples), dev_size, seed)
    assert sorted(train + dev) == sorted(samples)
    assert train
    assert dev
    assert split_hard_set(sorted(samples, reverse=True), dev_size, seed) == (train, dev)


def test_a_seed_decides_the_split() -> None:
    samples = [str(index) for index in range(40)]
    assert split_hard_set(samples, 20, seed=0) != split_hard_set(samples, 20, seed=1)
