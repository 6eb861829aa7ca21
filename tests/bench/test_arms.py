"""Arms become runs: settings that count, folders, and what may be gone on with."""

import re
from dataclasses import replace

import pytest
import yaml

from p2o.bench.arms import Arm, budget_settings, make_arms, make_runs, merged, refuse_others
from p2o.configuration.files import conf_directory
from p2o.errors import UserError

GRPO = Arm("grpo", "GRPO", "No templates", ("evolution=none", "optimizer.lr=1e-3"))


def test_of_settings_for_one_key_the_last_counts_however_it_is_added():
    first = ["optimizer.lr=1e-4", "+callbacks.one._target_=a.B", "seed=1"]
    assert merged(first, ["callbacks.one._target_=c.D"], ["++seed=2"]) == (
        "optimizer.lr=1e-4",
        "callbacks.one._target_=c.D",
        "++seed=2",
    )


def test_every_arm_is_run_with_every_seed_in_a_folder_of_its_own(tmp_path):
    other = Arm("p2o", "P2O", "All of it", ())
    runs = make_runs([GRPO, other], [0, 5], tmp_path, ["optimizer.lr=1e-4", "resume=auto"])
    assert [(run.arm.name, run.seed) for run in runs] == [
        *(("grpo", 0), ("p2o", 0), ("grpo", 5), ("p2o", 5))
    ]
    assert [run.folder.relative_to(tmp_path).as_posix() for run in runs] == [
        *("grpo/seed0", "p2o/seed0", "grpo/seed5", "p2o/seed5")
    ]
    # The arm's own learning rate counts for more than that of all runs.
    assert set(runs[0].overrides) == {
        *("resume=auto", "evolution=none", "optimizer.lr=1e-3", "seed=0")
    }
    assert set(runs[3].overrides) == {"optimizer.lr=1e-4", "resume=auto", "seed=5"}


def test_an_arm_without_a_label_is_called_by_its_name():
    settings = {"low_mask": {"sentence": "A low bound", "overrides": ["a=1"]}}
    assert make_arms(settings) == [Arm("low_mask", "low mask", "A low bound", ("a=1",))]


@pytest.mark.parametrize(
    ("budget", "callback", "argument"),
    [
        ({"rollouts": 48}, "RolloutBudget", "max_rollouts=48"),
        ({"rollouts": None, "tokens": 900}, "TokenBudget", "max_tokens=900"),
        ({"flops": 2e12}, "FlopsBudget", "max_flops=2000000000000.0"),
        ({"seconds": 1.5}, "TimeBudget", "max_seconds=1.5"),
    ],
)
def test_a_budget_is_kept_by_the_callback_of_its_kind(budget, callback, argument):
    assert budget_settings(budget) == (
        "trainer.max_epochs=-1",
        f"+callbacks.budget._target_=p2o_callbacks.{callback}",
        f"+callbacks.budget.{argument}",
    )


@pytest.mark.parametrize(
    ("budget", "said"),
    [
        ({"rollouts": None, "tokens": None, "seconds": None}, "nothing is given"),
        ({"rollouts": 5, "seconds": 2}, "rollouts=5 and seconds=2 is given"),
    ],
)
def test_a_bench_has_exactly_one_budget(budget, said):
    with pytest.raises(
        UserError, match=f"^budget: {said}; give one of rollouts, tokens, flops, seconds"
    ):
        budget_settings(budget)


def recorded(tmp_path, overrides):
    """A run whose folder says that it was made with `overrides`."""
    [run] = make_runs([GRPO], [0], tmp_path)
    (run.folder / ".hydra").mkdir(parents=True, exist_ok=True)
    (run.folder / ".hydra" / "overrides.yaml").write_text(yaml.safe_dump(overrides))
    return run


def test_a_run_that_was_made_with_other_settings_is_refused_with_what_differs(tmp_path):
    run = recorded(tmp_path, ["evolution=none", "optimizer.lr=2e-3", "seed=0"])
    with pytest.raises(
        UserError, match="made with optimizer.lr=0.002 where .* optimizer.lr=0.001;"
    ):
        refuse_others([run])


def test_a_run_that_was_made_with_the_same_settings_in_another_order_and_spelling_is_taken(
    tmp_path,
):
    refuse_others([recorded(tmp_path, ["seed=0", "optimizer.lr=0.001", "evolution=none"])])
    # A key that has since come into the configuration is added no more.
    refuse_others([recorded(tmp_path, ["seed=0", "optimizer.lr=1e-3", "+evolution=none"])])
    refuse_others(make_runs([GRPO], [1], tmp_path))


def measured(tmp_path, *evaluation):
    """A run whose arm is measured so now; before it was with the best template."""
    arm = replace(GRPO, evaluation=("suite=digits", *evaluation))
    [run] = make_runs([arm], [0], tmp_path)
    record = run.evaluation_folder / ".hydra" / "overrides.yaml"
    record.parent.mkdir(parents=True, exist_ok=True)
    before = ("suite=digits", "template_mode=best", "seed=0", "run='/an/old/place'")
    record.write_text(yaml.safe_dump([*before, "template='/an/old/place/epoch_0001.json'"]))
    return run


def test_a_run_that_was_measured_with_other_settings_is_refused_with_what_differs(tmp_path):
    said = "evaluation: was made with template_mode=best where .* template_mode=majority;"
    with pytest.raises(UserError, match=said):
        refuse_others([measured(tmp_path, "template_mode=majority")])
    with pytest.raises(
        UserError, match="evaluation: was made with nothing where this bench has limit=5"
    ):
        refuse_others([measured(tmp_path, "template_mode=best", "limit=5")])


def test_a_run_that_was_measured_so_is_taken_wherever_its_folder_is_now(tmp_path):
    refuse_others([measured(tmp_path, "template_mode=best")])
    # Nothing is shown of an evaluation that the arm has no more.
    run = measured(tmp_path)
    refuse_others([replace(run, arm=GRPO)])


def test_the_page_tells_of_every_arm_what_its_file_says():
    root = conf_directory()
    told = re.findall(r"^\| `(\w+)` \| (.+) \|$", (root.parent / "docs/bench.md").read_text(), re.M)
    said = {
        path.stem: yaml.safe_load(path.read_text())["sentence"]
        for path in sorted((root / "arm").glob("*.yaml"))
    }
    assert {name: text for name, text in told if name in said} == said
