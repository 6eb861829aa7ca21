"""Which hard set a run keeps on record."""

import pytest
from lightning.pytorch import Callback

from p2o.learning.recording import RunRecorder
from p2o.records import read
from p2o_callbacks import HardSampleMiner, PromptEvolution
from tests.callbacks.conftest import HARD, SAMPLES, ForeignProject
from tests.callbacks.test_several import Named, TwoKinds

SELDOM = [*HARD, SAMPLES[-1]]


def hard_sets(folder, epochs):
    rows = list(read(folder).rows("hard", ["epoch", "problem"]))
    return [[problem for epoch, problem in rows if epoch == number] for number in range(epochs)]


@pytest.mark.parametrize(("follows", "hard"), [("never", HARD), ("seldom", SELDOM), (None, SELDOM)])
def test_of_several_miners_the_one_that_the_search_follows_is_on_record(tmp_path, follows, hard):
    recorder = RunRecorder(tmp_path)
    callbacks: list[Callback] = [
        HardSampleMiner(3, name="seldom"),
        HardSampleMiner(1, name="never"),
        recorder,
    ]
    if follows is not None:
        callbacks.insert(0, PromptEvolution(Named("Think."), miner=follows))
    ForeignProject(tmp_path).fit(callbacks, epochs=2, data=TwoKinds())
    # Without a search those of the first miner; with one, those that it helps are hard no more.
    assert hard_sets(tmp_path, 2) == [hard, hard if follows is None else []]
