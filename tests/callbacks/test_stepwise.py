"""Evolution in the middle of an epoch."""

import pytest

from p2o_callbacks import ConfigurationError, HardSampleMiner, StepwiseEvolution
from tests.callbacks.conftest import OneTemplate


class ForAll(OneTemplate):
    """Gives its template to samples of its own, hard or not."""

    def evolve(self, hard_set, evaluate, **options):
        return super().evolve(["sample-0"], evaluate, **options)


def fit(project, every, epochs=2, **options):
    evolver = ForAll()
    evolution = StepwiseEvolution(evolver, every, seed=3, **options)
    callbacks = [HardSampleMiner(), evolution]
    _, data = project.fit(callbacks, epochs)
    return evolution, evolver.asked, data


def test_a_search_comes_before_the_first_step_and_every_so_many_after_it(project):
    _, asked, data = fit(project, 2)
    # Six steps: before the first, and behind the second and the fourth.
    assert len(asked) == 3
    assert len({seed for _, _, seed in asked}) == 3
    assert data.used == [["sample-0"]] * 6
    written = sorted(path.name for path in (project.folder / "evolution").iterdir())
    assert written == ["epoch_0000.json", "epoch_0001.json", "epoch_0002.json"]


def test_without_a_search_at_the_start_the_first_steps_are_bare(project):
    _, asked, data = fit(project, 4, at_start=False)
    assert len(asked) == 1
    assert data.used == [[]] * 4 + [["sample-0"]] * 2


def test_what_a_checkpoint_holds_is_not_searched_again(project):
    evolution, _, _ = fit(project, 2)
    again = StepwiseEvolution(ForAll(), 2, seed=3)
    again.load_state_dict(evolution.state_dict())
    assert (again.evolved_epoch, again.pool) == (2, evolution.pool)


@pytest.mark.parametrize("every", [0, -1])
def test_an_interval_that_means_nothing_is_refused(every):
    with pytest.raises(ConfigurationError, match=f"every_n_steps={every}: give at least 1"):
        StepwiseEvolution(OneTemplate(), every)
