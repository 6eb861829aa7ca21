"""Searches on paper are those that the callback makes in a run of real epochs."""

import pytest

from p2o.planning.searches import count_searches
from p2o_callbacks import HardSampleMiner, PromptEvolution
from tests.callbacks.conftest import ForeignProject

STEPS = 3
"""Of an epoch of `ForeignProject`."""


@pytest.mark.parametrize("at_start", [False, True])
@pytest.mark.parametrize("last_search", [None, 1, 2])
@pytest.mark.parametrize(
    "every",
    [{}, {"every_n_epochs": 2}, *({"every_n_steps": steps} for steps in (1, 2, 3, 4, 7))],
    ids=str,
)
def test_searches_are_those_that_the_callback_makes(tmp_path, every, last_search, at_start):
    project = ForeignProject(tmp_path)
    options = {**every, "last_search": last_search, "at_start": at_start}
    for epochs in (1, 4):
        evolver = project.Evolver()
        callbacks = [HardSampleMiner(), PromptEvolution(evolver, **options)]
        project.fit(callbacks, epochs)
        assert count_searches(epochs, STEPS, **options) == len(evolver.asked)
