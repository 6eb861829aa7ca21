import pytest

from p2o.reflection import ReflectionRequest
from p2o.reflection.meta_prompt import extract_template, render_meta_prompt

RECORDS = [
    {
        "Inputs": "1 + 1 ?",
        "Generated Outputs": "Answer: 3",
        "Feedback": "Wrong: the answer given was 3, the correct one is 2.",
        "score": 0.125,
    },
    {
        "Inputs": "2 + 2 ?",
        "Generated Outputs": "Answer: 4",
        "Feedback": "Correct. The answer is 4.",
        "score": 0.875,
    },
]


def test_meta_prompt_has_parent_and_records_but_no_scores():
    prompt = render_meta_prompt(ReflectionRequest("Count with fingers.", RECORDS, seed=0))
    assert "```\nCount with fingers.\n```" in prompt
    for record in RECORDS:
        for name in ("Inputs", "Generated Outputs", "Feedback"):
            assert f"## {name}\n{record[name]}" in prompt
    assert "score" not in prompt
    assert "0.125" not in prompt
    assert "0.875" not in prompt


def test_meta_prompt_of_the_empty_template():
    assert "```\n\n```" in render_meta_prompt(ReflectionRequest("", RECORDS, seed=0))


@pytest.mark.parametrize(
    ("text", "template"),
    [
        (
            "Here it is:\n```\nGo slowly.\n\nCheck twice.\n```\nGood luck!",
            "Go slowly.\n\nCheck twice.",
        ),
        ("```text\nGo slowly.\n```", "Go slowly."),
        ("Go slowly.\n```", "Go slowly."),
        ("```\nGo slowly: ```1 + 2``` first.\n```", "Go slowly: ```1 + 2``` first."),
        ("  Go slowly.\n", "Go slowly."),
        ("```\n慢慢来。\n```", "慢慢来。"),
        ("<think>```\nno\n```</think>\n```\nyes\n```", "yes"),
        ("\n<think>\nhm\n</think>\n\nyes", "yes"),
        ("the prompt had the opening tag</think>yes", "yes"),
        ("```\nReason in <think> and </think>.\n```", "Reason in <think> and </think>."),
    ],
)
def test_extract_finds_the_template(text, template):
    assert extract_template(text) == template


@pytest.mark.parametrize(
    "text",
    [
        "",
        " \n",
        "```",
        "```\n```",
        "``````",
        "```\n---\n```",
        "...",
        "<think>never done ```\nno\n```",
        "```\nGo slowly, and",
        "Here it is:\n```text\nGo slowly, and",
    ],
)
def test_extract_gives_none_without_words(text):
    assert extract_template(text) is None


@pytest.mark.parametrize(
    ("text", "template"),
    [
        ("```\nGo slowly.\n```\nThis is better because", "Go slowly."),
        ("```\nGo slowly, and", None),
        ("Here it is: go slowly, and", None),
        ("```\nGo slowly: ```1 + 2``` first, and", None),
        ("<think>Hm.</think>Go slowly, and", None),
    ],
)
def test_of_an_answer_that_was_cut_off_only_a_closed_block_is_a_template(text, template):
    assert extract_template(text, cut_off=True) == template
