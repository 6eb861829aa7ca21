"""What the benchmarks compute: operations, windows of time, rewards, exponents, medians."""

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from benchmarks import clock, work
from benchmarks.clock import Clock
from benchmarks.parts import contrast
from benchmarks.shape import shape_of, update_flops
from benchmarks.summary import exponent, share_of_other, side_of_step, step_ratio


def test_operations_are_those_that_torch_counts(tiny_model):
    length = 24
    tiny_model.set_attn_implementation("eager")
    counter = FlopCounterMode(display=False)
    with counter:
        tiny_model(torch.arange(2, 2 + length)[None]).logits.sum().backward()
    counts = {str(name): number for name, number in counter.get_flop_counts()["Global"].items()}
    # Eager attention computes all pairs, those that a token does not see as well.
    attention = counts["aten.bmm"] * (length + 1) / (2 * length)
    found = update_flops(shape_of(tiny_model), [(0, [length])])
    assert found == counts["aten.mm"] + counts["aten.addmm"] + attention


def test_a_prompt_is_paid_for_once_a_group(tiny_model):
    shape = shape_of(tiny_model)
    one, two = (update_flops(shape, [(50, [10] * number)]) for number in (1, 2))
    rows = update_flops(shape, [(50, [10]), (50, [10])])
    assert rows == 2 * one
    assert one < two < rows
    alone = update_flops(shape, [(0, [10])])
    # Each token of the second response also looks at the prompt's.
    assert two - one == alone + 12 * shape["layers"] * shape["queries"] * 10 * 50


@pytest.fixture
def ticking(monkeypatch):
    """A clock that is told the time."""
    now = iter(range(100))
    monkeypatch.setattr(clock, "perf_counter", lambda: float(next(now)))
    return Clock()


def test_steps_are_split_into_parts(ticking):
    with ticking.span("generation"):  # 0 to 1, before the first step
        pass
    ticking.open_epoch()  # 2
    with ticking.span("generation"):  # 3 to 6: a span inside is part of it
        with ticking.span("scoring"):  # 4
            pass
        ticking.called([5], [7])  # 5
    with ticking.span("update"):  # 7 to 8
        pass
    ticking.end_step()  # 9
    with ticking.span("scoring"):  # 10 to 11
        pass
    ticking.end_step()  # 12
    ticking.open_epoch()  # 13
    ticking.end_step()  # 14
    first, second, third = ticking.steps()
    assert first == {
        **{"epoch": 0, "seconds": 7.0, "generation": 3.0, "verifying": 0.0, "scoring": 0.0},
        **{"update": 1.0, "other": 3.0, "prompts": [5], "completions": [7]},
    }
    assert (second["scoring"], second["other"], second["prompts"]) == (1.0, 2.0, [])
    assert (third["epoch"], third["seconds"], third["other"]) == (1, 1.0, 1.0)


@pytest.mark.parametrize(
    ("dead", "wanted"),
    [
        (0.0, [1, 0, 1, 1, 0, 1, 0]),
        (0.5, [1, 0, 1, 0, 0, 1, 0]),
        (1.0, [0, 0, 0, 0, 0, 0, 0]),
    ],
)
def test_live_groups_have_contrast(dead, wanted):
    assert contrast(["a", "a", "a", "b", "b", "a", "a"], dead) == wanted


@pytest.mark.parametrize("model", [work.EMBEDDED, work.SMOLLM2])
def test_questions_are_as_many_as_asked_for_and_all_different(model):
    some = work.Work(model, prompts=4, steps=3)
    questions = [row["question"] for row in some.questions()]
    assert len(questions) == len(set(questions)) == 4 * 3 + 1
    assert some.questions() == work.Work.read(some.text()).questions()


@pytest.mark.parametrize("power", [0.5, 1.0, 2.0])
def test_exponent(power):
    assert exponent([1, 2, 4], [3 * x**power for x in (1, 2, 4)]) == pytest.approx(power)


def test_no_exponent_of_nothing():
    assert exponent([2, 2], [1, 1]) is None
    assert exponent([1, 2], [0, 1]) is None


def _run(side: str, peak: int, *seconds: float) -> dict:
    steps = [
        {
            **{"seconds": each, "generation": 0, "scoring": 0, "update": each / 2, "other": 1},
            **{"prompts": [10, 20], "completions": [4]},
        }
        for each in seconds
    ]
    about = {"threads": 1, "work": {}}
    return {"case": "some", "side": side, "peak_bytes": peak, "steps": steps, **about}


def test_medians_over_processes_without_their_first_step():
    results = [
        *(_run("TRL", 800, 99, 30, 40, 50), _run("TRL", 900, 99, 60), _run("TRL", 700, 20)),
        _run("p2o", 200, 99, 10),
    ]
    trl = side_of_step(results, "some", "TRL")
    assert trl is not None
    # 40, 60 and, where there is no other step, 20.
    assert (trl["seconds"], trl["least"], trl["most"], trl["repetitions"]) == (40, 20, 60, 3)
    assert (trl["peak_bytes"], trl["prompt"], trl["response"]) == (800, 15, 4)
    assert step_ratio(results, "some", "seconds") == 4
    assert step_ratio(results, "some", "update") == 4
    assert step_ratio(results, "some", "scoring") is None
    assert step_ratio(results[:3], "some", "seconds") is None


def test_share_of_other():
    assert share_of_other([{"seconds": 9, "other": 1}, {"seconds": 1, "other": 1}]) == 0.2
    assert share_of_other([]) is None
