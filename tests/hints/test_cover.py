from hypothesis import given
from hypothesis import strategies as st

from p2o.hints.cover import greedy_cover

solved_sets = st.lists(st.frozensets(st.sampled_from("abcdefgh")), max_size=6)


def test_takes_most_uncovered_first_and_the_lowest_of_equals() -> None:
    assert greedy_cover([set("ab"), set("cde"), set("fgh"), set("abc")]) == [1, 2, 0]


def test_leaves_out_what_adds_nothing() -> None:
    assert greedy_cover([set("abc"), set("ab"), set(), set("c")]) == [0]


def test_nothing_solved_is_no_cover() -> None:
    assert greedy_cover([]) == []
    assert greedy_cover([set(), set()]) == []


@given(solved_sets)
def test_every_sample_that_some_template_solves_is_covered(solved: list[frozenset[str]]) -> None:
    cover = greedy_cover(solved)
    assert set().union(*(solved[i] for i in cover)) == set().union(*solved)
    assert len(set(cover)) == len(cover)


@given(solved_sets)
def test_every_choice_adds_most(solved: list[frozenset[str]]) -> None:
    covered: set[str] = set()
    for index in greedy_cover(solved):
        gains = [len(samples - covered) for samples in solved]
        assert index == gains.index(max(gains))
        assert gains[index] > 0
        covered |= solved[index]
