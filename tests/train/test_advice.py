"""What a run that learns nothing tells its user to set, by the keys of its configuration."""

import pytest

SMALL = (
    *("data.source.train=8", "data.source.held_out=8", "data.batch=8", "evolution=none"),
    *("data.mini_batch=8", "trainer.max_epochs=1", "save_policy=null", "hydra.run.dir=run"),
)


@pytest.mark.slow
def test_responses_that_are_cut_and_unread_lead_to_the_keys_that_help(p2o_train):
    result = p2o_train(*SMALL, "sampling.train.max_new_tokens=3")
    assert result.returncode == 0, result.stderr
    [line] = [each for each in result.stdout.splitlines() if "What helps: " in each]
    ways = line.partition("What helps: ")[2]
    assert "say in renderer.suffix what it looks for" in ways
    assert "raise sampling.train.max_new_tokens=3" in ways
    # And they do what is promised of them.
    more = ("sampling.train.max_new_tokens=24", "renderer.suffix=' Answer:'")
    result = p2o_train(*SMALL, *more, "hydra.run.dir=again")
    assert result.returncode == 0, result.stderr
    assert "What helps: " not in result.stdout
