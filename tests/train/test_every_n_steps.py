"""A search that runs within an epoch, in p2o's own training."""

import json

import pytest

from p2o.records import read


@pytest.mark.slow
def test_templates_of_a_search_within_an_epoch_are_used_in_it(p2o_train, tmp_path):
    done = p2o_train(
        "evolution=random_template",
        "evolution.callback.every_n_steps=1",
        "data.source.train=32",
        "data.source.held_out=4",
        "trainer.max_epochs=1",
        "hydra.run.dir=run",
    )
    assert done.returncode == 0, done.stderr
    # After each update but the last; one that all groups leave without a gradient is none.
    path = min((tmp_path / "run" / "evolution").glob("*_step_*.json"))
    assert path.name == "epoch_0000_step_00000001.json"
    hard = set(json.loads(path.read_text())["assignment"])
    assert hard
    left = json.loads((tmp_path / "run" / "evolution" / "pool.json").read_text())
    assert left["hints"]
    assert all(hint["score"] is None for hint in left["hints"])


@pytest.mark.slow
def test_a_run_that_makes_no_step_at_all_tries_templates_in_training(p2o_train, tmp_path):
    (tmp_path / "rewards.py").write_text("def none(completion, answer): return 0.0\n")
    done = p2o_train(
        *("evolution=in_training", "verifier=function", "verifier.path=rewards.py:none"),
        *("data.source.train=16", "data.source.held_out=4", "data.batch=8", "data.mini_batch=4"),
        *("trainer.max_epochs=3", "data.group_size=4", "hydra.run.dir=run"),
    )
    assert done.returncode == 0, done.stderr
    rows = list(read(tmp_path / "run").rows("rollouts", ["epoch", "hint"], phase="training"))
    by_epoch = [[hint for epoch, hint in rows if epoch == number] for number in range(3)]
    assert [len(hints) for hints in by_epoch] == [64] * 3
    assert not any(by_epoch[0])
    assert all(all(hints) for hints in by_epoch[1:])
    # Others are tried in their place.
    assert set(by_epoch[2]) - set(by_epoch[1])
