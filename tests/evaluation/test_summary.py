"""The table with which an evaluation ends."""

from p2o.evaluation.summary import summary_table
from p2o.running.terminal import Terminal

RESULT = {
    "questions": 1319,
    "samples": 16,
    "accuracy": 1.0,
    "interval": [0.997, 1.0],
    "pass_at": {4: 1.0, 16: 1.0},
    "tokens": 12288.0,
    "cut_off": 1.0,
    "no_answer": 1.0,
}


def test_a_long_name_folds_and_numbers_stay_whole():
    long = "a_name_of_a_benchmark_that_has_no_end"
    console = Terminal(width=80)
    with console.capture() as capture:
        console.print(summary_table({long: RESULT, "digits": RESULT}, {"missing": "away"}))
    lines = capture.get().splitlines()
    assert max(map(len, lines)) <= 80
    for number in ("1319 x 16", "99.7-100.0", "12288"):
        assert sum(number in line for line in lines) == 2
    # All of the name is there, over several lines.
    first = [line.split()[0] for line in lines if line[:1] in tuple(long) and line.split()]
    assert long in "".join(first)
