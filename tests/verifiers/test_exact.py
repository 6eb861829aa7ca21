import pytest
import yaml

from p2o.configuration.files import conf_directory
from p2o.errors import UserError
from p2o.prompt import Prompt
from p2o.verifiers import ExactMatch, Status

GOLD = Prompt.create([{"role": "user", "content": "?"}], "New  York")


@pytest.mark.parametrize(
    ("pattern", "response", "reward", "status"),
    [
        (None, " new york\n", 1.0, Status.OK),
        (None, "York", 0.0, Status.OK),
        (None, "  ", 0.0, Status.NO_ANSWER),
        (r"Answer:\s*(.+)", "Answer: Rome\nAnswer: New York", 1.0, Status.OK),
        (r"Answer:\s*(.+)", "New York", 0.0, Status.NO_ANSWER),
    ],
)
def test_scores(pattern, response, reward, status):
    [score] = ExactMatch(pattern).score([response], [GOLD])
    assert (score.reward, score.status) == (reward, status)


def test_a_bad_pattern_is_refused():
    with pytest.raises(UserError, match="^pattern="):
        ExactMatch("[")


def test_any_of_several_golds_is_enough_and_an_empty_one_is_named():
    prompt = Prompt.create([{"role": "user", "content": "?"}], "car", ["automobile"])
    [score] = ExactMatch().score(["Automobile"], [prompt])
    assert score.reward == 1.0
    empty = Prompt.create([{"role": "user", "content": "?"}], " ")
    assert ExactMatch().check_gold([prompt, empty]) == [None, "the gold answer is empty"]


def test_a_pattern_that_takes_for_ever_costs_its_own_answer_only():
    verifier = ExactMatch(r"((?:a|aa)+)!", seconds=0.3)
    slow, quick = verifier.score(["a" * 80, "New aaa!"], [GOLD, GOLD])
    assert (slow.reward, slow.status) == (0.0, Status.TIMEOUT)
    assert (quick.answer, quick.status) == ("aaa", Status.OK)


def test_letters_are_the_same_however_their_accents_are_encoded():
    prompt = Prompt.create([{"role": "user", "content": "?"}], "S\u00e3o Paulo")
    [score, other] = ExactMatch().score(["Sa\u0303o Paulo", "Sao Paulo"], [prompt] * 2)
    assert (score.reward, other.reward) == (1.0, 0.0)


@pytest.mark.parametrize(
    "options", [{"pattern": "a"}, {"pattern": "(a{9999999999})"}, {"seconds": 0}]
)
def test_options_that_cannot_work_are_refused(options):
    with pytest.raises(UserError, match=f"^{next(iter(options))}"):
        ExactMatch(**options)


@pytest.mark.parametrize("name", ["exact", "regex"])
@pytest.mark.parametrize(
    "line",
    [
        *(
            "Answer: New York",
            "**Answer:** New York",
            "**Answer: New York**",
            "Answer: **New York**",
        ),
        *("**Answer**: New York", "Answer:\nNew York", "Answer: New York  \nThat is all."),
    ],
)
def test_marks_around_the_answer_of_the_usual_pattern_are_no_part_of_it(name, line):
    settings = yaml.safe_load((conf_directory() / "verifier" / f"{name}.yaml").read_text())
    [score] = ExactMatch(settings["pattern"]).score([f"First this.\n{line}"], [GOLD])
    assert (score.reward, score.answer) == (1.0, "New York")
