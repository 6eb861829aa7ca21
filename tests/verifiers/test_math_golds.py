"""Gold answers of public benchmarks: readable, equal to themselves rewritten, not to others."""

import json
import random
import re
from pathlib import Path

import pytest
from math_data import DATA, FILES, prompt_of, read_golds

from p2o.verifiers import BoxedMath, Math, Numeric
from p2o.verifiers.math_verify_alone import MathVerifyAlone

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not DATA.is_dir(), reason="the data sets are not here"),
]

PAGE = Path(__file__).parents[2] / "docs" / "math-answers.md"
UNUSABLE = {
    "olympiad_bench": {
        r"$f(x)=a x+b$, where $b$ is an arbitrary integer, and $a$ is an arbitrary positive "
        r"integer with $\mho(a)=0$",
        "$t(0,4]$",
    }
}
ALIKE = [
    {"-2,1", "1,-2", "(-2,1)"},
    {r"\$36", "36", r"36^\circ"},
    {"90", r"90^\circ"},
    {"$k=1$", "1", "$f(x)=1$"},
    {"$k=3$", "3"},
    {"40", "40_9"},
]
"""Answers to different problems that are equal, each set within one file."""


@pytest.fixture(scope="module")
def verifier():
    verifier = BoxedMath(seconds=30, workers=2)
    yield verifier
    verifier.pool.close()


def rewritten(gold: str, index: int) -> str:
    """The same answer as another person would write it."""
    bare = gold.removeprefix("$").removesuffix("$") if gold.count("$") == 2 else gold
    name = "" if any(sign in gold for sign in ("=", r"\in ", r"\geq")) else "x = "
    return (
        f" {gold} .",
        f"${bare}$" if "$" not in bare else f"{gold}.",
        gold.replace(r"\frac", r"\dfrac").replace("(", r"\left( ").replace(")", r" \right)")
        if r"\left" not in gold
        else gold.replace(r"\left", "").replace(r"\right", ""),
        f"{name}{bare}.",
    )[index % 4]


@pytest.mark.parametrize("name", [*FILES, "gsm8k"])
def test_golds_can_be_read_and_equal_themselves_rewritten(name, verifier):
    prompts = read_golds(name)
    reasons = verifier.check_gold(prompts)
    unusable = {prompt.gold for prompt, reason in zip(prompts, reasons, strict=True) if reason}
    assert unusable == UNUSABLE.get(name, set())
    usable = [prompt for prompt in prompts if prompt.gold not in unusable]
    golds = list(dict.fromkeys(gold for prompt in usable for gold in prompt.golds))
    responses = [f"\\boxed{{{rewritten(gold, i)}}}" for i, gold in enumerate(golds)]
    scores = verifier.score(responses, [prompt_of(gold) for gold in golds])
    assert [
        (response, score)
        for response, score in zip(responses, scores, strict=True)
        if score.reward != 1.0
    ] == []


@pytest.mark.parametrize("name", [*FILES, "gsm8k"])
def test_golds_of_other_problems_are_wrong(name, verifier):
    prompts = read_golds(name)
    draw = random.Random(0)
    pairs = [(prompt, draw.choice(prompts)) for prompt in prompts]
    pairs = [(one, other) for one, other in pairs if not {*one.golds} & {*other.golds}]
    responses = [f"\\boxed{{{other.gold}}}" for _, other in pairs]
    scores = verifier.score(responses, [prompt for prompt, _ in pairs])
    right = [
        {one.gold, other.gold}
        for (one, other), score in zip(pairs, scores, strict=True)
        if score.reward
    ]
    assert [pair for pair in right if not any(pair <= alike for alike in ALIKE)] == []


def test_math_verify_alone_agrees_on_golds_and_fails_on_a_full_stop(verifier):
    alone = MathVerifyAlone(seconds=30, workers=2)
    golds = list(dict.fromkeys(prompt.gold for name in FILES for prompt in read_golds(name)))
    golds = random.Random(0).sample(golds, 150)
    answers = [gold.replace(r"\frac", r"\dfrac") for gold in golds]
    responses = [f"\\boxed{{{answer}}}" for answer in answers]
    prompts = [prompt_of(gold) for gold in golds]
    rewards = [[s.reward for s in v.score(responses, prompts)] for v in (verifier, alone)]
    assert rewards[0] == rewards[1]
    differing = [r"\boxed{204.}", r"\boxed{5%}"], [prompt_of("204"), prompt_of("5")]
    assert [score.reward for score in verifier.score(*differing)] == [1.0, 1.0]
    assert [score.reward for score in alone.score(*differing)] == [0.0, 0.0]
    alone.pool.close()


DIFFERING = {
    "minerva": {
        *(r"0.003^{\prime \prime}", r"\frac{4A}{3+3i}e^{it}", r"1950^\circ C", "E_1, E_2"),
        *(r"\frac{e^{2it}}{2+2i} + Ce^{-2t}", r"x' + \frac{r}{V}x - rc = 0"),
    },
    "aime": {"051", "081", "245", "360", "448", "453"},
}
"""Gold answers of solutions on which math-verify alone differs, but for powers of ten."""


@pytest.mark.parametrize(
    ("name", "file"), [("minerva", "eval/minerva"), ("aime", "deepscaler/train_aime")]
)
def test_written_solutions_are_judged_as_by_math_verify_but_for_known_ones(name, file):
    rows = json.loads((DATA / f"{file}.json").read_text())
    prompts = read_golds(f"../{file}")
    scores = []
    for verifier in (Math(seconds=30, workers=2), MathVerifyAlone(seconds=30, workers=2)):
        scores.append(verifier.score([row["solution"] for row in rows], prompts))
        verifier.pool.close()
    differing = {
        prompt.gold: one.reward > other.reward
        for prompt, one, other in zip(prompts, *scores, strict=True)
        if one.reward != other.reward
    }
    # 8.7e8 for 8.7 \times 10^8.
    powers = {gold for gold in differing if r"\times 10^" in gold}
    assert differing.keys() - powers == DIFFERING[name]
    # A box that is a part of an expression is no answer here: \sqrt{\boxed{448}}.
    worse = {gold for gold, ours in differing.items() if not ours}
    assert worse == ({"245", "360", "448", "453"} if name == "aime" else set())
    rewards = [(one.reward, other.reward) for one, other in zip(*scores, strict=True)]
    both, ours, theirs = (rewards.count(pair) for pair in ((1.0, 1.0), (1.0, 0.0), (0.0, 1.0)))
    told = {"minerva": "Minerva", "aime": "AIME 1983–2023"}[name]
    number = re.compile(r"\d+")
    counts = [
        [int(number.findall(cell)[0]) for cell in line.split("|")[2:6]]
        for line in PAGE.read_text(encoding="utf-8").splitlines()
        if line.startswith(f"| {told} |")
    ]
    assert counts == [[len(rows), both, ours, theirs]]


def test_numbers_can_be_checked_as_numbers():
    assert not any(Numeric().check_gold(read_golds("gsm8k")))


def test_answers_of_gsm8k_solutions_are_found_and_right():
    lines = (DATA / "gsm8k/test.jsonl").read_text().splitlines()[:200]
    solutions = [json.loads(line)["answer"] for line in lines]
    scores = Math(seconds=30).score(solutions, read_golds("gsm8k")[:200])
    assert {score.reward for score in scores} == {1.0}
