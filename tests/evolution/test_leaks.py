"""What a template may not tell: answers and problems. And what is no leak."""

import logging
from typing import Any

import pytest

from p2o.errors import UserError
from p2o.evolution.gepa import GepaEvolution
from p2o.evolution.leaks import LeakGuard
from p2o.evolution.single_turn import SingleTurnReflection
from p2o.hints.assignment import DiverseAssignment
from p2o.reflection.phrasebook import load_phrases
from p2o_callbacks import TemplateTrial
from tests.evolution.world import HARD, World, Writer, search

WOLF = "A wolf runs 13 miles in the morning and twice as far in the evening before it rests."


def guard(*answers, question="", action: Any = "reject"):
    """One that knows of a problem for each answer."""
    made = LeakGuard(action)
    for number, answer in enumerate(answers):
        asked = question or f"Question {number} is about something else."
        made.learn(f"{number}", TemplateTrial(0.0, False, asked, "", "", answers=(answer,)))
    return made


@pytest.mark.parametrize(
    ("answer", "template"),
    [
        # Planted as they are
        ("1024", "When it comes to bytes, think of 1024."),
        ("3.75", "Prices such as 3.75 are likely."),
        ("x^2 + 1", "Remember the polynomial x^2 + 1 here."),
        ("Wellington", "Think of Wellington and its harbour."),
        # Numbers in another spelling
        ("1024", "It is 1,024 in the end."),
        ("1024", "It is 1024.0 in the end."),
        ("1024", "Something like one thousand twenty-four."),
        ("1,250", "Expect 1250 of them."),
        ("-127", "Do not be afraid of -127."),
        ("0.125", "In such cases take 1/8 and check whether the answer is 1/8."),
        ("-128", "Think of minus 128."),
        ("-128", "It comes to negative one hundred twenty-eight."),
        (r"\frac{17}{42}", "It is seventeen over forty-two."),
        (r"\frac{17}{42}", r"So ${17 \over 42}$ is left."),
        # LaTeX in another spelling
        (r"\frac{17}{42}", r"It comes down to $\dfrac{17}{42}$."),
        (r"\frac{17}{42}", "It comes down to 17/42."),
        (r"\frac{\sqrt{3}}{2}", r"Use \tfrac{\sqrt 3}{2} as the height."),
        (r"\frac{\sqrt{3}}{2}", "Use sqrt(3)/2 as the height."),
        (r"\left(2,\,5\right)", "The point (2, 5) is of interest."),
        (r"2\pi r^{2}", r"Try $2 \pi r^2$ first."),
        # Small numbers and labels, said as an answer
        ("2", "The answer is 2."),
        ("2", "Work slowly.\nAnswer: 2"),
        ("2", "The final answer is always two."),
        ("2", r"End with \boxed{2}"),
        ("2", "Here 5 - 3 = 2"),
        ("40", "The total is 40 apples."),
        ("7", "Just write 7."),
        ("72", "The result comes out as 72."),
        ("72", "It's 72"),
        ("72", "The correct response would be 72 clips."),
        ("72", "The answer is not 71 but 72."),
        ("3/4", "The result equals 0.75."),
        ("B", "The answer is (B)."),
        ("yes", "Say yes."),
    ],
)
def test_a_template_with_an_answer_is_one_however_it_is_spelled(answer, template):
    others = ["no", "no", "yes", "C", "C", "B", "5", "6"]
    assert guard(answer, *others).why(template)


@pytest.mark.parametrize(
    ("answers", "template"),
    [
        (["2"], "Write 2 lines."),
        (["2"], "Answer in 2 steps."),
        (["2"], "Round the result to 2 decimal places."),
        (["2"], "First, read it. 2. Then write down what is asked."),
        (["1", "2", "3"], "Plan:\n1. Read the problem.\n2) Solve it.\n3. Check the answer."),
        (["1"], "Answer:\n1. Say what is known."),
        (["1"], "The answer is one of the numbers in the text."),
        (["3"], "Check the answer three times."),
        (["100"], "Use at most 100 words."),
        (["10"], "You are a teacher of 10 years."),
        (["42"], "Number 142 and 420 are no answers, and 4.2 is none."),
        (["60"], "An hour has 60 minutes."),
        (["2"], "The number of steps is 2: first plan, then solve."),
        (["24"], "Say what 48 minus 24 leaves."),
        (["-24"], "Say what 48 minus 24 leaves."),
        (["Subtraction", "Addition"], "If something is taken away, it is subtraction."),
        (["A", "B", "C", "D"], "Answer with A, B, C or D."),
        (["A", "B"], "A problem is easier with a plan B in hand."),
        (["yes", "no"], "The answer is yes or no."),
        (["yes", "no"], "There is no need to hurry."),
        (
            ["Addition", "Division", "Addition", "Division"],
            "Which operation solves the problem: Addition or Division? Answer with that one word.",
        ),
        (["Wellington"], "Think of a city and its harbour."),
        (["x"], "Solve for x, then write x = and the value."),
    ],
)
def test_a_template_that_has_an_answer_by_chance_is_no_leak(answers, template):
    assert guard(*answers).why(template) is None


def test_eight_words_in_a_row_of_a_problem_are_a_leak_and_seven_are_not():
    known = guard("39", question=WOLF)
    assert known.why("Say: runs 13 miles in the morning and twice; go on.")
    assert known.why("RUNS 13 MILES, in the morning AND twice!")
    assert known.why("Say: runs thirteen miles in the morning and twice; go on.")
    assert not known.why("Say: runs 13 miles in the morning and, then go on.")
    assert not known.why("An animal runs in the morning and again in the evening.")


def test_all_of_a_short_problem_is_a_leak():
    known = guard("12", question="Add 3 and 9 please")
    assert known.why("When told to add 3 and 9, please, think.")
    assert not known.why("When told to add 3 and 8, please, think.")


def test_a_phrase_that_several_problems_share_is_the_property_of_none():
    stock = "Express your answer as a common fraction in lowest terms"
    made = LeakGuard("reject")
    for number in range(3):
        question = f"Problem {number} of its own kind. {stock}"
        made.learn(f"{number}", TemplateTrial(0.0, False, question, "", ""))
    assert not made.why(f"{stock}, please.")
    assert guard("1/2", question=f"What is it? {stock}").why(stock)


def test_what_comes_with_p2o_is_no_leak():
    everything = [str(number) for number in range(-50, 300)]
    assert not [phrase for phrase in load_phrases(None) if guard(*everything).why(phrase)]


def test_each_action_does_what_it_says(caplog):
    admitted = {}
    for action in ("off", "warn", "reject"):
        known = guard("1024", action=action)
        with caplog.at_level(logging.WARNING):
            admitted[action] = [known.admits("Take 1024."), known.admits("Go slowly.")]
        assert known.count == {"off": None}.get(action, 1)
    assert admitted == {"off": [True, True], "warn": [True, True], "reject": [False, True]}
    assert [record.getMessage().split(":")[0] for record in caplog.records] == [
        "leaks=warn",
        "leaks=reject",
    ]


class Answers(World):
    """Every template that tells an answer works."""

    def try_out(self, sample, template):
        trial = super().try_out(sample, template)
        told = "1024" in template
        solved = told or bool(trial.solved)
        return TemplateTrial(
            float(solved), solved, trial.question, "", "", trial.repeatable, ("1024",)
        )


class Teller(Writer):
    """Tells the answer in every second template."""

    def write(self, request):
        text = super().write(request)
        return f"{text} 1024" if self.written % 2 else text


@pytest.mark.parametrize(("leaks", "told"), [("reject", False), ("warn", True), ("off", True)])
def test_a_search_keeps_templates_that_tell_out_of_its_pool(leaks, told):
    world = Answers()
    found = search(world, writer=Teller(world, unique=True), leaks=leaks)
    texts = [template.text for template in found.pool.templates]
    assert any("1024" in text for text in texts) == told
    assert any("1024" in template for _, template in world.pairs) == told
    assert found.leaks == (None if leaks == "off" else pytest.approx(found.leaks))
    assert (found.leaks or 0) > 0 or leaks == "off"


def test_a_sample_whose_own_reflection_tells_stays_bare():
    world = Answers()
    evolver = SingleTurnReflection(Teller(world, unique=True))
    found = evolver.evolve(HARD, world.evaluate, group_size=4, seed=0, report=lambda progress: None)
    assert len(found.pool.assignment) == found.leaks == len(HARD) // 2
    assert not any("1024" in template.text for template in found.pool.templates)


def test_a_template_that_turns_out_to_tell_is_not_used():
    """Its problem was not known when it came in."""

    class Late(World):
        def try_out(self, sample, template):
            trial = super().try_out(sample, template)
            # The dev part is seen first; the others come with the minibatches.
            seen = len(self.pairs) > 60
            return TemplateTrial(
                trial.score, trial.solved, sample, "", "", answers=("1024",) if seen else ()
            )

    class Always(Writer):
        def write(self, request):
            return f"{super().write(request)} 1024"

    world = Late()
    found = search(world, writer=Always(world))
    assert any("1024" in template.text for template in found.pool.templates)
    assert not found.pool.in_use


@pytest.mark.slow
def test_an_action_that_there_is_not_is_refused(p2o_train):
    done = p2o_train("evolution.evolver.leaks=maybe")
    assert done.returncode == 2
    assert "evolution.evolver.leaks" in done.stderr
    with pytest.raises(UserError, match="seed_pool=nowhere.json: "):
        GepaEvolution(Writer(World()), DiverseAssignment(), seed_pool="nowhere.json")
