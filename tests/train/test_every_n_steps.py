"""A search that runs within an epoch, in p2o's own training."""

import json

import pytest


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
    path = min((tmp_path / "run" / "evolution").glob("step_*.json"))
    assert path.name == "step_00000001.json"
    hard = set(json.loads(path.read_text())["assignment"])
    assert hard
    left = json.loads((tmp_path / "run" / "evolution" / "pool.json").read_text())
    assert left["hints"]
    assert all(hint["score"] is None for hint in left["hints"])
