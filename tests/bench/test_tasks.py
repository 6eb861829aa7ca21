"""With which pool an arm is measured that has templates in front of the question."""

import json

import pytest

from p2o.bench.arms import Arm, make_runs
from p2o.bench.tasks import evaluation_tasks
from p2o_callbacks.pool import PromptPool, Template

ARM = Arm("shown", "Shown", "Templates in front", (), evaluation=("suite=digits",))
FULL = PromptPool((Template("Go slowly."),), (0,))
BARE = PromptPool((Template(""),), (0,))


def template_of(tmp_path, pools):
    """What p2o-eval is told of templates, of a run with these pools."""
    [run] = make_runs([ARM], [3], tmp_path)
    folder = run.folder / "evolution"
    folder.mkdir(parents=True)
    for name, pool in pools.items():
        text = pool if isinstance(pool, str) else json.dumps(pool.state_dict())
        (folder / f"{name}.json").write_text(text)
    [task] = evaluation_tasks([run], [])
    assert {"suite=digits", "seed=3"} < set(task.arguments)
    given = [each for each in task.arguments if each.startswith("template=")]
    return [each.rpartition("/")[2].rstrip("'") for each in given]


@pytest.mark.parametrize(
    ("pools", "taken"),
    [
        ({"epoch_0001": FULL, "epoch_0002": FULL}, ["epoch_0002.json"]),
        ({"epoch_0001": FULL, "epoch_0001_step_00000012": FULL}, ["epoch_0001_step_00000012.json"]),
        # Nothing was hard any more.
        ({"epoch_0001": FULL, "epoch_0002": BARE, "epoch_0003": PromptPool()}, ["epoch_0001.json"]),
        # Nothing was ever hard, or nothing was searched for.
        ({"epoch_0001": PromptPool()}, []),
        ({}, []),
        # The evaluation says that it is damaged.
        ({"epoch_0001": FULL, "epoch_0002": "{"}, ["epoch_0002.json"]),
    ],
)
def test_it_is_the_last_one_with_a_template_in_use(tmp_path, pools, taken):
    assert template_of(tmp_path, pools) == taken
