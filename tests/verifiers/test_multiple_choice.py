import pytest
from hypothesis import given
from hypothesis import strategies as st
from math_data import prompt_of

from p2o.errors import UserError
from p2o.verifiers import MultipleChoice, Status
from p2o.verifiers.multiple_choice import find_statements


@pytest.mark.parametrize(
    "response",
    [
        "(B)",
        "B.",
        "**B**",
        "b",
        "The answer is B",
        "The answer is (B) because A is too small.",
        "The correct answer is:\n\nB",
        "Final answer: **B**.",
        r"\boxed{B}",
        r"A or C? No: \boxed{\text{(B)}}",
        r"\boxed{\textbf{(B) }12}",
        r"The answer is $\text{B}$.",
        "option b",
        "I think that option B fits.",
        "So we take (B) here, as A person would.",
        "B) Paris",
        "A is wrong.\nB: Paris",
        "Antwort:\n\nAntwort: B",
        "Die richtige Antwort ist B.",
        "La respuesta correcta es B",
        "La bonne r\u00e9ponse est la B",
        "\u7b54\u6848\u662fB",
        "\u7b54\u6848\uff1aB\u3002",
        "\u6545\u9009\uff1aB",
        "\u672c\u9898\u9009\u62e9 B\uff0e",
        "\u6b63\u89e3\u306fB",
        "\uc815\ub2f5\uc740 B\uc785\ub2c8\ub2e4",
        "Answer: \uff22",
        "I would go with B \u2014 a bold choice.",
        "I choose B.",
        "B is the right answer.",
        "So B is correct, and a good one.",
        "Neither A, nor C, nor D. So the answer must be B.",
        "The best answer is most clearly B.",
        "The answer is, of course, B.",
        "Answer: __B__",
        "Answer: B, maybe because of the rule",
        "The answer to this question is therefore (B).",
        "The answer would be B",
        "<answer>B</answer>",
        '{"answer": "B"}',
        "The answer is \u2018B\u2019",
        "**Final Answer**\n\nB",
        "### Answer\nB",
        "[[B]]",
        "B - Paris",
        "B, because A is too small",
        "Therefore, B.",
        "It must be B.",
        "We conclude B\n",
        "The answer's B",
        r"The answer is \(B\).",
        r"\boxed{\text{Option B}}",
        r"\boxed{\mathrm{B}}",
        "Answer: C\n\nNo, that is too small.\n\nAnswer: B",
        "The answer is C.\nNo. The answer is B.",
        "The answer is B, A is too small",
        "Option A is wrong. Option B is right.",
        "P(A) is small. (B)",
        "Ans: B",
        "Correct: B",
        "The solution is B.",
        r"\boxed{\text{Answer: B}}",
        r"\boxed{\text{The answer is (B)}}",
        "A is wrong, so the answer is B.",
        "I cannot say why but the answer is B",
        "Not A: the answer is B",
        "B正确",
        "A错误，B正确",
        "A wrong, B correct.",
        "not A but B",
        "The answer is not A, but B.",
        "The answer isn't A or C but B",
        "Answer — B",
        "Answer \u2013 B, since A is too small",
        "The answer would be A if x were 2, but it is B",
        "Had x been 2, the answer would be A. The answer is B.",
        "Could the answer be A? No, the answer is B.",
        "Answer: A?\nAnswer: B",
        "Answer: B.Paris",
        "Answer: B. A would be wrong.",
        "Answer: B (A is wrong)",
        "Answer: B isn't wrong",
        "Answer: B cannot be wrong",
        "Answer: B turned out to be right.",
        "Answer: B would be my choice.",
        "The answer is B, which is not A",
        "E.g. 2 is too small. Answer: B",
        "I.e. this one\nB",
    ],
)
def test_a_letter_is_found_however_it_is_written(response):
    [score] = MultipleChoice().score([response], [prompt_of("B")])
    assert (score.reward, score.status, score.answer) == (1.0, Status.OK, "B")


@pytest.mark.parametrize("letter", "ABCI")
@pytest.mark.parametrize(
    "response",
    [
        "Answer: {}\nExplanation: the others fail.",
        "Answer: {}\n\nsince the others fail.",
        "{}\nit is.",
        "Option {}\nis best",
        "The answer is {}\r\nbecause of this.",
        "{}.\nThe others fail.",
    ],
)
def test_a_letter_before_the_end_of_a_line_is_no_word(letter, response):
    [score] = MultipleChoice(10).score([response.format(letter)], [prompt_of(letter)])
    assert (score.reward, score.answer) == (1.0, letter)


@pytest.mark.parametrize(
    "response",
    [
        "",
        "The answer is a number.",
        "I am not sure",
        "The answer is not B",
        "A cat sat.",
        "Answer: 12",
        "A or B",
        "The answer is A or B.",
        "The answer is B. No, the answer is C.",
        r"\boxed{A, B}",
        "Both (A) and (B) are right.",
        "B is not the answer. C fits.",
        "Option B is wrong.",
        "B is incorrect.",
        "I would not pick B.",
        "P(A) and P(B)",
        "Answer: B-12",
        "Answer: B++",
        "So A, B and C lie on a line.",
        "Thus BC is B times C",
        "Answer choices: A, B, C, D",
        "A) Paris\nB) Rome\nC) Bonn",
        "The answer, I would say, depends.",
        "Answer: ABD",
        "Wrong answer: B",
        "The wrong answer is B.",
        "An incorrect answer is B",
        "Incorrect: B",
        "The least likely answer is B",
        "Not (B)",
        "It is not the case that B is correct",
        "I reject option B",
        "I avoid (B) here",
        "Option B fails",
        "Answer: ~B",
        "Answer: \u00acB",
        r"\boxed{\neg B}",
        r"\boxed{\overline{B}}",
        r"\boxed{-B}",
        "(B) (C)",
        "B C",
        "Answer: B?",
        "Answer: (B)?",
        "B?",
        r"\boxed{B?}",
        "Is the answer B?",
        "B is correct?",
        "If x were 2, the answer would be B.",
        "The answer would be B if x were 2",
        "The answer would be B, but x is not 2",
        "The answer is not B but close to it",
        "B不正确",
        "答案:B错误",
        "(A) (B) (C) (D)",
        "Answer: B would be wrong",
        "Answer: B could be wrong.",
        "Answer: B is clearly wrong",
        "Answer: B must be the wrong one",
        "Answer: B isn't right",
        "Answer: B does not work",
        "Answer: B has been ruled out",
        "Answer: B turned out to be false",
        "Answer: B would be right if x were 2",
        "Answer: B would be right, but x is not 2",
        "Option B can't be right",
        "(B) would be wrong",
        "I think that **B** doesn't fit",
        "Answer: B.C",
        "B.C",
        "(b.c)",
        r"\boxed{B.C}",
        "Answer: B:C",
        "Answer: B;C",
        "Answer: B|C",
        "Answer: B | C",
        "Answer: B*C",
        "Answer: B → C",
        "Answer: B -> C",
        "Answer: B + C",
        "Answer: B C",
        "Answer: (B)(C)",
        r"Answer: B \cup C",
        "Answer: B or maybe C",
        "Answer: B, perhaps C",
        "Answer: B vs. C",
        "Answer: B versus C",
        "Answer: B through D",
        "E.g. this",
        "i.e. nothing",
    ],
)
def test_no_letter_or_several_are_no_answer(response):
    [score] = MultipleChoice().score([response], [prompt_of("B")])
    assert (score.reward, score.status) == (0.0, Status.NO_ANSWER)


def test_wrong_letters_and_letters_that_are_no_choice():
    verifier = MultipleChoice(choices=3)
    wrong, none = verifier.score(["(A)", "(D)"], [prompt_of("(b)")] * 2)
    assert (wrong.reward, wrong.status) == (0.0, Status.OK)
    assert (none.reward, none.status) == (0.0, Status.PARSE_ERROR)


@pytest.mark.parametrize("letter", "ABCDEFGHIJ")
def test_up_to_ten_choices_by_letter_or_index(letter):
    index = "ABCDEFGHIJ".index(letter)
    for gold, first in ((letter, None), (str(index), 0), (str(index + 1), 1)):
        [score] = MultipleChoice(10, first).score([f"Answer: {letter}"], [prompt_of(gold)])
        assert score.reward == 1.0


def test_golds_that_are_no_choice_are_named():
    letters = MultipleChoice().check_gold([prompt_of("(c)"), prompt_of("E"), prompt_of("x", "A")])
    assert [reason is None for reason in letters] == [True, False, True]
    indices = MultipleChoice(first_index=1).check_gold([prompt_of("4"), prompt_of("0")])
    assert [reason is None for reason in indices] == [True, False]
    [score] = MultipleChoice().score(["A"], [prompt_of("E")])
    assert score.status == Status.ERROR


@pytest.mark.parametrize("gold", ["ACD", "A,C,D", "A, C and D", "(A)(C)(D)", "DCA"])
@pytest.mark.parametrize(
    ("response", "reward", "status"),
    [
        ("Answer: ACD", 1.0, Status.OK),
        ("Answer: D, A, C", 1.0, Status.OK),
        ("The answer is A, C and D.", 1.0, Status.OK),
        (r"\boxed{ACD}", 1.0, Status.OK),
        (r"\boxed{A, C, D}", 1.0, Status.OK),
        ("\u6545\u9009\uff1aACD", 1.0, Status.OK),
        ("The correct answers are A, C and D.", 1.0, Status.OK),
        ("Options A, C and D are correct.", 1.0, Status.OK),
        ("The answers are A and C.", 0.0, Status.OK),
        ("Answer: AC", 0.0, Status.OK),
        ("Answer: A", 0.0, Status.OK),
        ("Answer: ABCD", 0.0, Status.OK),
        ("Answer: A, C or D", 0.0, Status.NO_ANSWER),
        ("Answer: CADE", 0.0, Status.PARSE_ERROR),
        ("Answer: A.C.D", 1.0, Status.OK),
        ("Answer: A C D", 1.0, Status.OK),
        ("Answer: ACD would be wrong", 0.0, Status.NO_ANSWER),
        ("Answer: A | C | D", 0.0, Status.NO_ANSWER),
    ],
)
def test_several_letters_are_all_asked_for(gold, response, reward, status):
    [score] = MultipleChoice().score([response], [prompt_of(gold)])
    assert (score.reward, score.status) == (reward, status)


def test_golds_of_several_letters_or_indices_are_choices():
    golds = [prompt_of(gold) for gold in ("ACD", "AA", "ACE", "cab", "A or B")]
    reasons = MultipleChoice().check_gold(golds)
    assert [reason is None for reason in reasons] == [True, False, False, False, False]
    [score] = MultipleChoice(first_index=0).score(["Answer: A, C"], [prompt_of("[0, 2]")])
    assert score.reward == 1.0


HOSTILE = (
    *("A,,,,B,,,,", "A, ", "A or ", "answer ", "answer is ", "option ", "A ", "A is ", "(A)", "**"),
    *(
        "\n",
        "B\n",
        "\u9009",
        "\\text{",
        "- ",
        "<answer>",
        "option A,B ",
        "A's ",
        "'",
        "not answer ",
    ),
)


@pytest.mark.slow
@pytest.mark.parametrize("piece", HOSTILE)
def test_no_text_takes_longer_than_reading_it(piece):
    # Time that doubles, or grows with the square of the length, would be hours here.
    for text in (f"\\boxed{{{piece * 20}x}}", f"{piece * 15_000}x"):
        assert len(MultipleChoice().score([text], [prompt_of("A")])) == 1


@pytest.mark.parametrize("choices", [1, 11])
def test_a_number_of_choices_out_of_range_is_refused(choices):
    with pytest.raises(UserError, match="^choices="):
        MultipleChoice(choices)


@given(st.text(alphabet="ABIab (){}*\\.,:ornswei\n", max_size=80))
def test_any_text_gives_letters_in_order(text):
    for letters in (statement.letters for statement in find_statements(text)):
        assert letters == "".join(sorted(set(letters)))
        assert set(letters) <= set("ABCDEFGHIJ")


@pytest.mark.parametrize("begin", ["If", "Suppose", "Assume that", "Let us see whether"])
def test_a_letter_that_is_only_tried_out_is_not_chosen(begin):
    response = f"{begin} the answer is C, then 1 = 2. So it is D."
    scores = MultipleChoice().score([response] * 2, [prompt_of("C"), prompt_of("D")])
    assert [score.reward for score in scores] == [0.0, 1.0]


def test_a_condition_of_its_own_leaves_the_letter_chosen():
    response = "If no heat is lost, the answer is C."
    assert MultipleChoice().score([response], [prompt_of("C")])[0].reward == 1.0
