from pathlib import Path

import pytest

from p2o.errors import UserError
from p2o.report.arms import by_seed, choose_arm, differences, group_arms
from p2o.report.runs import Run


def run(seed: int, after: float, *overrides: str) -> Run:
    return Run(
        Path(f"runs/{seed}"),
        (*overrides, f"seed={seed}", "hydra.run.dir=somewhere"),
        {"seed": seed},
        {"accuracy": {"after": after}},
    )


def test_runs_that_differ_in_their_seed_are_one_arm_named_by_what_sets_it_apart():
    shared = "trainer.max_epochs=4"
    arms = group_arms(
        [
            run(0, 0.9, shared),
            run(0, 0.2, "experiment=grpo", shared),
            run(1, 0.8, shared),
            run(1, 0.3, shared, "experiment=grpo"),
        ]
    )
    assert {name: len(runs) for name, runs in arms.items()} == {"default": 2, "experiment=grpo": 2}


def test_a_single_arm_keeps_its_settings_in_its_name():
    assert list(group_arms([run(0, 0.9, "data=gsm8k"), run(1, 0.9, "data=gsm8k")])) == [
        "data=gsm8k"
    ]


def test_differences_are_between_runs_of_the_same_seed():
    arms = group_arms(
        [run(0, 0.9), run(1, 0.5), run(1, 0.4, "a=1"), run(0, 0.3, "a=1"), run(7, 0.0, "a=1")]
    )
    [difference] = differences(arms, "default", "accuracy").values()
    assert difference.pairs == 2
    assert difference.mean == pytest.approx(((0.3 - 0.9) + (0.4 - 0.5)) / 2)


def test_a_run_that_has_not_ended_has_no_final_accuracy():
    going = Run(Path("runs/going"), (), {"seed": 0}, metrics=[{"step": 4, "val/accuracy": 0.1}])
    assert by_seed([run(0, 0.9), going, run(1, 0.7)], "accuracy") == {0: 0.9, 1: 0.7}


def test_an_arm_is_chosen_by_a_part_of_its_name():
    arms = group_arms([run(0, 0.9), run(0, 0.2, "experiment=grpo")])
    assert choose_arm(arms, None) == "default"
    assert choose_arm(arms, "grpo") == "experiment=grpo"
    with pytest.raises(UserError, match="--against=dapo: is no arm; there are: default; exp"):
        choose_arm(arms, "dapo")
    both = group_arms([run(0, 0.9, "a=1"), run(0, 0.2, "a=12")])
    assert choose_arm(both, "a=1") == "a=1"
    with pytest.raises(UserError, match="several arms"):
        choose_arm(both, "a=")
