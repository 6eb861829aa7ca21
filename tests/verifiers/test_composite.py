import pytest
from hypothesis import given
from hypothesis import strategies as st
from omegaconf import DictConfig, OmegaConf

from p2o.configuration.build import build, conf_directory
from p2o.errors import UserError
from p2o.prompt import Prompt
from p2o.verifiers import GuardedVerifier, Score, Status
from p2o.verifiers.composite import BAD_TO_GOOD, Composite, Found

PROMPT = Prompt.create([{"role": "user", "content": "How many?"}], "7")


class Gives:
    """Gives the same score to every response, and counts them."""

    def __init__(self, reward=1.0, status=Status.OK, answer=None, detail=""):
        self.it, self.asked = Score(reward, status, answer, detail), 0

    def score(self, responses, prompts):
        self.asked += len(responses)
        return [self.it for _ in responses]


def test_the_file_builds_nine_tenths_for_the_answer_and_one_for_the_form():
    node = OmegaConf.load(conf_directory() / "verifier" / "composite.yaml")
    assert isinstance(node, DictConfig)
    composite = build(node, "verifier")
    right, loose, wrong = "Answer: 7", "Answer: 7\nSure.", "Answer: 8"
    scores = composite.score([right, loose, wrong, "seven"], [PROMPT] * 4)
    assert [score.reward for score in scores] == pytest.approx([1.0, 0.9, 0.1, 0.0])
    assert [score.status for score in scores[:3]] == [Status.OK, Status.NO_ANSWER, Status.OK]
    assert scores[0].answer == "7"
    assert scores[1].detail.startswith("answer 1.00, last_line 0.00 (no_answer: no match")


@given(st.lists(st.tuples(st.floats(0, 1), st.floats(0.01, 100), st.sampled_from(Status)),
                min_size=1, max_size=5))  # fmt: skip
def test_rewards_stay_between_those_of_the_parts_and_the_worst_status_is_told(rows):
    parts = {
        str(number): {"verifier": Gives(reward, status), "weight": weight}
        for number, (reward, weight, status) in enumerate(rows)
    }
    [score] = Composite(parts).score(["text"], [PROMPT])
    rewards = [reward for reward, _, _ in rows]
    assert min(rewards) - 1e-9 <= score.reward <= max(rewards) + 1e-9
    assert (score.reward == 1.0) == (min(rewards) == 1.0) or min(rewards) > 1 - 1e-9
    assert score.status == min((status for *_, status in rows), key=BAD_TO_GOOD.index)
    assert set(BAD_TO_GOOD) == set(Status)


@pytest.mark.parametrize("gate", [r"^<think>.*</think>", "verifier"])
def test_a_closed_gate_gives_nothing_and_asks_nobody(gate):
    class Opens:
        def score(self, responses, prompts):
            return [Score(float("<think>" in r), Status.NO_ANSWER) for r in responses]

    part = Gives()
    composite = Composite(
        {"all": {"verifier": part, "weight": 1}}, Opens() if gate == "verifier" else gate
    )
    scores = composite.score(["no", "<think>\n</think> 7", "no"], [PROMPT] * 3)
    assert [score.reward for score in scores] == [0.0, 1.0, 0.0]
    assert scores[0].status == Status.NO_ANSWER
    assert scores[0].detail.startswith("gate closed")
    assert part.asked == 1


def test_nobody_is_asked_about_nothing():
    class Refuses:
        def score(self, responses, prompts):
            raise AssertionError

    parts = {"all": {"verifier": Refuses(), "weight": 1}}
    scores = Composite(parts, "yes").score(["no", "neither"], [PROMPT] * 2)
    assert [score.reward for score in scores] == [0.0, 0.0]


def test_a_reward_that_is_no_share_is_an_error_and_the_guard_hears_of_it():
    composite = Composite({"big": {"verifier": Gives(5.0), "weight": 1}})
    guarded = GuardedVerifier(composite)
    [score] = guarded.score(["text"], [PROMPT])
    assert (score.reward, score.status) == (0.0, Status.ERROR)
    assert "big gave 5.0" in score.detail
    assert guarded.counts == {Status.ERROR: 1}


class Lies:
    """Gives what it was told to give, whatever it is asked."""

    def __init__(self, *given):
        self.given = list(given)

    def score(self, responses, prompts):
        return self.given


RIGHT = Score(1.0, Status.OK)


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ([RIGHT], "Lies gave 1 scores for 2 responses"),
        ([RIGHT] * 3, "Lies gave 3 scores for 2 responses"),
        ([RIGHT, 1.0], "Lies gave 1.0 .float., which is no Score"),
    ],
)
@pytest.mark.parametrize("place", ["parts.main", "gate"])
def test_a_verifier_that_does_not_give_a_score_for_each_ends_the_run(place, given, says):
    lies = Lies(*given)
    main = {"verifier": Gives() if place == "gate" else lies, "weight": 1}
    composite = Composite({"main": main}, lies if place == "gate" else None)
    with pytest.raises(UserError, match=rf"^verifier\.{place}: {says}"):
        GuardedVerifier(composite).score(["7", "8"], [PROMPT] * 2)


@pytest.mark.parametrize("reward", [float("nan"), float("inf"), -float("inf")])
@pytest.mark.parametrize("place", ["part", "gate"])
def test_a_reward_that_is_no_finite_number_costs_its_own_answer_only(place, reward):
    lies = Lies(Score(reward, Status.OK), RIGHT)
    composite = (
        Composite({"main": {"verifier": Gives(), "weight": 1}}, lies)
        if place == "gate"
        else Composite({"main": {"verifier": lies, "weight": 1}})
    )
    bad, good = composite.score(["7", "8"], [PROMPT] * 2)
    assert (bad.reward, bad.status) == (0.0, Status.ERROR)
    assert "no finite number" in bad.detail
    assert good.reward == 1.0


def test_found_has_a_deadline_for_each_response():
    found = Found(r"^(?:a|aa|b)*!", seconds=0.3)
    slow, quick = found.score(["a" * 60, "ab!"], [PROMPT] * 2)
    assert (slow.reward, slow.status) == (0.0, Status.TIMEOUT)
    assert quick.reward == 1.0
    composite = Composite({"main": {"verifier": Gives(), "weight": 1}}, found)
    assert [s.status for s in composite.score(["a" * 60, "b!"], [PROMPT] * 2)] == [
        Status.TIMEOUT,
        Status.OK,
    ]


def test_large_weights_are_shares_too():
    parts = {
        name: {"verifier": Gives(reward), "weight": 1e308}
        for name, reward in (("a", 1.0), ("b", 0.5), ("c", 0.0))
    }
    assert Composite(parts).score(["x"], [PROMPT])[0].reward == pytest.approx(0.5)


def test_gold_answers_are_checked_by_all_parts_that_can():
    class Checks(Gives):
        def check_gold(self, prompts):
            return ["no number" if prompt.gold == "x" else None for prompt in prompts]

    parts = {
        "one": {"verifier": Gives(), "weight": 1},
        "two": {"verifier": Checks(), "weight": 1},
    }
    bad = Prompt.create([{"role": "user", "content": "How many?"}], "x")
    assert Composite(parts).check_gold([PROMPT, bad]) == [None, "two: no number"]


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ({"parts": {}}, "parts"),
        ({"parts": {"a": {"verifier": Gives()}}}, "parts.a"),
        ({"parts": {"a": {"verifier": Gives(), "weight": 0}}}, "parts.a.weight=0"),
        ({"parts": {"a": {"verifier": Gives(), "weight": float("inf")}}}, "parts.a.weight=inf"),
        ({"parts": {"a": {"verifier": Gives(), "weight": float("nan")}}}, "parts.a.weight=nan"),
        ({"parts": {"a": {"verifier": Gives(), "weight": "much"}}}, "parts.a.weight=much"),
        ({"parts": {"a": {"verifier": Gives(), "weight": 1}}, "gate": "("}, "gate"),
    ],
)
def test_what_cannot_work_is_refused_by_name(arguments, says):
    with pytest.raises(UserError, match=says):
        Composite(**arguments)


class Says:
    """Says what is right itself, whatever the reward."""

    def __init__(self, reward, solved):
        self.it = Score(reward, Status.OK, solved=solved)

    def score(self, responses, prompts):
        return [self.it for _ in responses]


@pytest.mark.parametrize(
    ("parts", "solved"),
    [
        ([Says(1.0, False)], False),
        ([Says(0.5, True)], True),
        ([Says(0.5, True), Gives(1.0)], True),
        ([Says(0.5, True), Gives(0.5)], False),
        ([Gives(1.0), Gives(1.0)], True),
        ([Gives(0.5)], False),
    ],
)
def test_what_a_part_says_is_right_is_not_asked_of_the_reward(parts, solved):
    composite = Composite({str(n): {"verifier": part, "weight": 1} for n, part in enumerate(parts)})
    [score] = GuardedVerifier(composite).score(["a"], [PROMPT])
    assert score.solved == solved


def test_the_guard_decides_where_no_part_says():
    composite = Composite({"one": {"verifier": Gives(0.5), "weight": 1}})
    [score] = GuardedVerifier(composite, solved_reward=0.5).score(["a"], [PROMPT])
    assert score.solved
