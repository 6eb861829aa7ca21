"""Which problems are alike."""

from p2o.hints.similarity import Similarity

TEXTS = {
    "apples": "Tom has 3 apples and eats one. How many are left?",
    "pears": "Ann has 5 pears and eats two. How many are left?",
    "speed": "A train drives 60 miles in two hours. How fast is it?",
    "same": "A train drives 60 miles in two hours. How fast is it?",
}


def test_the_same_words_are_the_most_alike_and_ties_go_by_name():
    assert Similarity(TEXTS).nearest(TEXTS["speed"], 2) == ["same", "speed"]


def test_rare_words_count_for_more_than_common_ones():
    texts = {"rare": "the zebra", "common": "the of and", **{f"{n}": "of and" for n in range(20)}}
    assert Similarity(texts).nearest("the zebra of and", 1) == ["rare"]


def test_letter_case_does_not_count_and_what_shares_nothing_comes_last():
    assert Similarity(TEXTS).nearest("APPLES eats Tom", 4)[0] == "apples"
    assert Similarity({"b": "x", "a": "y"}).nearest("", 5) == ["a", "b"]
    assert Similarity({}).nearest("anything", 3) == []
