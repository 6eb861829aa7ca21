"""A thousand answers that hang, crash or swell a parser: each gets a status."""

import random
import time

import pytest
from math_data import prompt_of

from p2o.verifiers import ExactMatch, Math, MultipleChoice, Numeric, Status

SOUP = "\\{}[]()^_&$%#~|/+-*=<>!.,;: 0123abcxyz"
SLOW = (
    "9^{9^{9^{9}}}",
    "7^{8^{999}}",
    "98765432!",
    "2^{2^{2^{2^{2^{2}}}}}",
    r"\sum_{n=1}^{10^9} \frac{1}{n^7}",
    r"\int_0^{\infty} e^{-x^{71}} \sin(x^{x}) dx",
    r"\binom{987654321}{123456789}",
    "(a+b+c+d+e+f+g+h)^{610}",
    "10^{10^{10}}!",
    r"\prod_{k=1}^{10^8} k",
)


def nasty(seed: int, count: int) -> list[str]:
    draw = random.Random(seed)
    number = draw.randint
    makers = (
        lambda: draw.choice(SLOW),
        lambda: r"\frac{1}{" * number(20, 400) + "2" + "}" * number(0, 400),
        lambda: r"\sqrt{" * number(20, 300) + "x" + "}" * 300,
        lambda: "(" * number(20, 900) + "1" + ")" * number(20, 900),
        lambda: "{" * number(1, 900),
        lambda: "}" * number(1, 900) + "{",
        lambda: "".join(draw.choices("0123456789", k=number(1, 100_000))),
        lambda: "9" * 100_000,
        lambda: "".join(chr(number(0x660, 0x669)) for _ in range(number(1, 30))),
        lambda: f"\u202e{number(10, 999)}\u202c\u200f",
        lambda: "\x00" * number(1, 50) + str(number(4, 9)),
        lambda: "".join(chr(number(0, 0xD7FF)) for _ in range(number(1, 200))),
        lambda: "".join(draw.choices(SOUP, k=number(1, 40))),
        lambda: r"\begin{pmatrix}" * number(1, 50) + "1 & 2" * number(1, 100),
        lambda: r"\text{" * number(1, 500),
        lambda: "," * number(1, 900),
        lambda: "0." + "0" * number(1, 900) + "1",
        lambda: "'" * number(1, 900),
        lambda: f"{number(1, 9)}e{number(100, 9999)}",
        lambda: "1/" * number(1, 50) + "0",
    )
    return [makers[index % len(makers)]() for index in range(count)]


@pytest.mark.slow
def test_a_thousand_pathological_answers_finish_with_a_status_each():
    verifier = Math(seconds=1.0, workers=2)
    texts = nasty(seed=0, count=1000)
    scores = verifier.score([f"\\boxed{{{text}}}" for text in texts], [prompt_of("-77/6")] * 1000)
    assert len(scores) == 1000
    assert not any(score.reward for score in scores)
    assert {Status.TIMEOUT, Status.PARSE_ERROR, Status.OK} <= {score.status for score in scores}
    [after] = verifier.score([r"\boxed{x+x}"], [prompt_of("2x")])
    assert after.reward == 1.0
    verifier.pool.close()


@pytest.mark.parametrize("verifier", [Numeric(), MultipleChoice(), ExactMatch(r"Answer:\s*(.+)")])
def test_other_verifiers_take_no_time_for_them(verifier):
    started = time.process_time()
    texts = nasty(seed=1, count=200)
    scores = verifier.score([f"Answer: {text}" for text in texts], [prompt_of("C")] * 200)
    assert len(scores) == 200
    assert time.process_time() - started < 10
