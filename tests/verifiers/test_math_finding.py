"""Answers without a box are found, whole, and no others in their place."""

import re
from pathlib import Path

import pytest
from math_data import prompt_of, read_pairs

from p2o.verifiers import Math
from p2o.verifiers.answers import find_boxes

BOX = r"\boxed{5}"
CONTEXTS = Path(__file__).parent / "box_contexts.txt"
TEXTS = read_pairs("answers_in_text")

CASES = [
    ("The answer is .5", "0.5", True),
    ("The answer is .5", "5", False),
    ("#### .25", "25", False),
    ("Answer: .75", "3/4", True),
    ("<answer>.5</answer>", "5", False),
    (".5", "0.5", True),
    ("It is ... 5", "5", True),
    ("So $-\\boxed{1}$", "1", False),
    ("So $\\boxed{1}0$", "1", False),
    ("So $\\boxed{1}$ million", "1", False),
    ("So $x\\ne\\boxed{1}$", "1", False),
    ("So $\\boxed 1/2$", "1", False),
    ("So $\\boxed 1 000$", "1", False),
    ("So **$x = \\boxed{1}$**.", "1", True),
    ("- \\boxed{1}", "1", True),
    ("So $x=+\\boxed{1}$", "1", True),
    ("So $x+\\boxed{1}$", "1", False),
    ("So $x=\\boxed{41.8}^{\\circ}$", "41.8^\\circ", True),
    ("So $T=\\boxed{928}^{\\circ} \\mathrm{C}$", "928", True),
    ("So $x=\\boxed{4}^{2}$", "4", False),
    ("So $abc \\le \\boxed{729}$.", "729", True),
    ("It is minus 5.", "-5", True),
    ("It is minus 5.", "5", False),
    ("so x=- 5", "5", False),
    ("It is — 5", "5", False),
    ("It is ⅕", "5", False),
    ("10^5", "5", False),
    ("It is 10⁵", "5", False),
    ("It is √5", "5", False),
    ("It is 2√5", "5", False),
    ("It is 2 × 5", "5", False),
    ("It is 8-5", "5", False),
    ("It is 3 / 5", "5", False),
    ("It is 5!", "5", False),
    ("It is 5π", "5", False),
    ("It is 5x", "5", False),
    ("It is 5i", "5", False),
    ("It is 5k", "5", False),
    ("It is 5万", "5", False),
    ("It is 5 Million", "5", False),
    ("It is 5 millions", "5", False),
    ("It is ±5", "5", False),
    ("x is ≠5", "5", False),
    ("It is >5", "5", False),
    ("It is not 5", "5", False),
    ("It is less than 5", "5", False),
    ("It is 5 or more", "5", False),
    ("It is at 3:05", "5", False),
    ("It is 5 millions", "5000000", True),
    ("The answer is $72$ million", "72", False),
    ("The answer is $72$ - $1$", "72", False),
    ("The answer is $72$/5", "72", False),
    ("The answer is $72$ times $3$", "72", False),
    ("The answer is $72$ or more", "72", False),
    ("The answer is $72$ (incorrect)", "72", False),
    ("The answer is $72$!", "72", False),
    ("The answer is minus $72$", "72", False),
    ("The answer is twice $72$", "72", False),
    ("The answer is 72? No: 73", "72", False),
    ("The answer is half of 72", "72", False),
    ("The answer is under 72", "72", False),
    ("The answer is anything but 72", "72", False),
    ("The answer is $72$ million.", "72000000", True),
    ("The answer is minus $72$.", "-72", True),
    ("- 5 apples", "5", True),
    ("so x=- 5", "-5", True),
    ("So Ben pays $8.25. Final Answer: The final answer is 8.25.", "8.25", True),
    (
        "It is $4\\times 24$. Final Answer: The volume of $PQRS$ is 96. I hope it is correct.",
        "96",
        True,
    ),
    ("Final Answer: The smallest $k$ is 17.", "17", True),
    ("Final Answer: The smallest $k$ is $17$.", "17", True),
    ("Final Answer: Tom began collecting stamps 5 years ago. I hope it is correct.", "5", True),
    ("Final Answer: the number of teams is 7.", "6", False),
    ("✅ Final Answer: **61**", "61", True),
    ("The answer is 54, all in all, so she can pay.", "54", True),
    ("So the answer is\n\n54", "54", True),
    ("The final answer is thus 54.", "54", True),
    ("Hence the answer is: **54**.", "54", True),
    ("The right answer is 54; 53 is too few.", "54", True),
    ("The answer is 54. Check: 50 + 4 = 54. Good.", "54", True),
    ("We find that there are 54 pairs among 90 people.", "54", True),
    ("The change is −8.", "-8", True),
    ("The change is −8.", "8", False),
    ("There were 2 000 birds.", "2000", True),
    ("There were 2 000 birds.", "0", False),
    ("\\frac{7}{5}", "7/5", True),
    ("The answer is six.", "6", True),
    ("The answer is twenty-five.", "25", True),
    ("Answer: 9 (because 4+5=9)", "9", True),
    ("概率为17/31", "31", False),
    ("概率为17/31", "17/31", True),
    ("<answer>1e5</answer>", "1", False),
    ("<answer>1e5</answer>", "100000", True),
    ("The area is 3.2 million.", "3", False),
    ("The area is 3.2 million.", "3200000", True),
    ("She has $5 and earns $3, so she has $8.", "8", True),
    ("The answer is $5$ but not $6$.", "5", True),
    ("The answer is $5$ and $6$.", "5,6", True),
    ("The answer is $x$ = 2.", "x=2", True),
    ("The answer is 2.5 × 10³.", "2.5\\times 10^3", True),
    ("So it is 2.5 × 10³", "2.5", False),
    ("The probability is therefore \\(\\frac{1}{3}\\).", "1/3", True),
    ("The answer is yes.", "yes", True),
    ("The answer is yes.", "no", False),
    ("Answer: Paris", "Paris", True),
    ("Answer: x^2+1", "x^2+1", True),
    ("The answer is 10 apples.", "10", True),
    ("The answer is 10:30 am.", "10:30", True),
    ("Answer: \\(7\\)", "7", True),
    ("Answer: $$7$$", "7", True),
    ("### Answer\n7", "7", True),
    ("**Answer**\n\n7", "7", True),
    ("Answer = 3", "3", True),
    ("答案是12。", "12", True),
    ("答案：12", "12", True),
    ("因此答案为 $12$。", "12", True),
    ("The answer isn't 11 but 12.", "12", True),
    ("So $\\boxed 4$.", "4", True),
    ("So $\\boxed41$", "41", False),
    ("So $\\boxed41$", "4", False),
    ("The answer is 25%.", "0.25", True),
    ("The answer: 42", "42", True),
    ("My answer would be 42.", "42", True),
    ("Therefore, the final answer is $\\boxed{42}$.", "42", True),
    ("The total cost is $15.", "15", True),
    ("#### 1,234", "1,234", True),
    ("#### −3", "-3", True),
    ("Let x be 3. Then 6x = 18.", "18", True),
    ("The answer is 7!", "7", True),
    ("Final answer: 3/4 of the cake", "3/4", True),
    ("The answer is 14 or 15.", "14", False),
    ("The answer is between 14 and 15.", "14", False),
    ("The answer is not 14.", "14", False),
    ("The answer is more than 14.", "14", False),
    ("The answer is approximately 14.", "14", True),
    ("The answer is about 14.", "14", True),
    ("There are 10 red and 4 blue balls. In total there are 14 balls.", "10", False),
    ("There are 10 red and 4 blue balls. In total there are 14 balls.", "14", True),
    ("The answer is ¾.", "\\frac{3}{4}", True),
    ("Answer: 5.", "5", True),
    ("answer is 5", "5", True),
    ("ANSWER: 5", "5", True),
    ("The answer is $5$ because $2+3=5$.", "5", True),
    ("The answer is:\n\n$$5$$", "5", True),
    ("The answer is:\n\\[\n5\n\\]", "5", True),
    ("The answer is (1/2).", "1/2", True),
    ("The answer is (1, 2).", "(1,2)", True),
    ("The answer is the point (1, 2).", "(1,2)", True),
    ("The solution set is $[1,2)$.", "[1,2)", True),
    ("The answer is x > 3.", "x>3", True),
    ("The answer is x > 3.", "3", False),
    ("The answer is 2+4=6.", "6", True),
    ("The answer is 2 + 4.", "6", True),
    ("He ran 100 m.", "100", True),
    ("Step 3", "3", True),
]
"""A response, a gold answer, and whether the response gives it."""


@pytest.fixture(scope="module")
def verifier():
    verifier = Math(seconds=30)
    yield verifier
    verifier.pool.close()


@pytest.mark.parametrize(("response", "gold", "right"), CASES)
def test_answers_without_a_box(response, gold, right, verifier):
    [score] = verifier.score([response], [prompt_of(gold)])
    assert bool(score.reward) is right, score


@pytest.mark.parametrize("kind", ["a part of an expression", "an answer"])
def test_a_box_is_an_answer_unless_it_is_a_part_of_an_expression(kind):
    section = CONTEXTS.read_text(encoding="utf-8").partition(f"# {kind}\n")[2].split("\n\n")[0]
    contexts = re.split(r"\s{3}|\n", section.strip())
    assert len(contexts) > 50
    expected = "5" if kind == "an answer" else ""
    found = {one: find_boxes(f"So ${one.replace('BOX', BOX)}")[-1] for one in contexts}
    assert {one: box for one, box in found.items() if box != expected} == {}


@pytest.mark.parametrize("kind", list(dict.fromkeys(pair.kind for pair in TEXTS)))
def test_what_a_text_says_of_a_number_decides_whether_it_is_the_answer(kind, verifier):
    pairs = [pair for pair in TEXTS if pair.kind == kind]
    responses = [pair.answer.replace("⏎", "\n") for pair in pairs]
    scores = verifier.score(responses, [pair.prompt for pair in pairs])
    assert [
        (pair.gold, pair.answer, score)
        for pair, score in zip(pairs, scores, strict=True)
        if bool(score.reward) is not pair.equal
    ] == []


@pytest.mark.parametrize(
    "head",
    [
        "3 + 4 = 7\n",
        "So the total is 42.\n",
        "Hence x = 7.\n",
        "### Step 3\n",
        "\\(3+4=7\\)\n",
        "- 12 + 8 = 20\n- ",
        "* total 20\n* ",
        "20\r\n",
        "our answer—$",
    ],
)
def test_a_box_on_a_line_of_its_own_or_behind_a_long_dash_is_an_answer(head):
    """What it would touch on the same line it does not touch there."""
    assert find_boxes(head + BOX) == ["5"]
    assert find_boxes(head.rstrip("\r\n-* ") + BOX) in ([""], ["5"])


@pytest.mark.parametrize("text", [r"\color{red}{%s}", r"\textcolor{blue}{%s}", r"$\color{red} %s$"])
def test_a_colour_is_nothing_that_a_box_is_a_part_of(text):
    assert find_boxes(text % BOX) == ["5"]
    assert find_boxes(rf"\frac{{1}}{{{BOX}}}") == [""]
