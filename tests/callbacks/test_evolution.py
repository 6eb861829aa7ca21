"""Mining and evolution in a project that has nothing to do with p2o."""

import csv
import json
from pathlib import Path

import pytest
import torch
from lightning.pytorch import Callback, LightningDataModule
from lightning.pytorch.callbacks import ModelCheckpoint
from lightning.pytorch.loggers import CSVLogger
from torch.utils.data import DataLoader

from p2o_callbacks import (
    ConfigurationError,
    Evolution,
    HardSampleMiner,
    PromptEvolution,
    PromptPool,
)
from tests.callbacks.conftest import ForeignData, OneTemplate


@pytest.fixture
def pair(project):
    """Make a miner and the evolution that reads it."""
    return lambda **options: [HardSampleMiner(), PromptEvolution(project.Evolver(), **options)]


def states(callbacks):
    return [callback.state_dict() for callback in callbacks]


def test_mining_and_evolution_take_turns(project, pair):
    miner, evolution = pair(seed=7)
    _, data = project.fit([miner, evolution], epochs=3)
    # Hard after epoch 1, solved with the template in epoch 2, bare and hard again in epoch 3.
    assert [hard for hard, _, _ in evolution.evolver.asked] == [project.hard, []]
    assert {group_size for _, group_size, _ in evolution.evolver.asked} == {4}
    assert data.used == [[]] * 3 + [project.hard] * 3 + [[]] * 3
    assert [pairs for pairs, _ in data.trials] == [[(name, "Think.") for name in project.hard]]
    assert miner.hard_set == project.hard


def test_a_train_dataloader_can_be_what_the_callbacks_talk_to(project, pair):
    _, loader = project.fit(pair(), epochs=2, data=project.Loader())
    assert loader.used == [[]] * 3 + [project.hard] * 3


def test_a_search_runs_when_the_next_epoch_starts_and_never_after_the_last(project, pair):
    order = []

    class Evolver(project.Evolver):
        def evolve(self, hard_set, evaluate, **options):
            order.append("search")
            return super().evolve(hard_set, evaluate, **options)

    class Saver(ModelCheckpoint):
        def _save_checkpoint(self, trainer, filepath):
            order.append(f"checkpoint after {trainer.global_step}")

    callbacks = [HardSampleMiner(), PromptEvolution(Evolver())]
    saver = Saver(project.folder, save_top_k=-1)
    project.fit([*callbacks, saver], epochs=2, enable_checkpointing=True)
    assert order == ["checkpoint after 3", "search", "checkpoint after 6"]


def test_the_pool_lives_on_between_searches(project, pair):
    miner, evolution = pair(every_n_epochs=2)
    _, data = project.fit([miner, evolution], epochs=5)
    assert len(evolution.evolver.asked) == 2
    # Found before epoch 3, where it helps all; nobody is hard before epoch 4, all are before 5.
    assert data.used[::3] == [[], [], project.hard, [], project.hard]


def test_pools_of_an_earlier_run_are_told_of(project, pair, caplog):
    def said():
        return [
            r.message for r in caplog.records if r.levelname == "WARNING" and "pools" in r.message
        ]

    project.fit(pair(), epochs=3)
    assert said() == []
    project.fit(pair(), epochs=1)
    [message] = said()
    assert f"{project.folder}" in message
    assert "has pools of an earlier run (epoch_0001 to epoch_0002)" in message


def test_after_the_last_search_its_templates_live_on(project, pair):
    _, evolution = pair(last_search=1)
    callbacks = [HardSampleMiner(), evolution]
    _, data = project.fit(callbacks, epochs=5)
    assert len(evolution.evolver.asked) == 1
    # Found before epoch 1, where it helps all, so that nobody is hard before 2 and all before 3.
    assert data.used[::3] == [[], project.hard, [], project.hard, []]


@pytest.mark.parametrize(
    ("every", "last", "searches"),
    [(1, None, 6), (1, 6, 6), (1, 4, 4), (2, None, 3), (2, 5, 2), (3, 3, 1), (2, 1, 0)],
)
def test_searches_are_made_every_so_often_up_to_the_last(project, pair, every, last, searches):
    _, evolution = callbacks = pair(every_n_epochs=every, last_search=last)
    project.fit(callbacks, epochs=7)
    assert len(evolution.evolver.asked) == searches


class Changing(ForeignData):
    """Templates help nobody; who is hard depends on the epoch alone."""

    hard_by_epoch = ([0, 1, 2], [0, 1, 2], [0, 1, 2], [1, 2, 3], [0, 3], [], [4])

    def roll_out(self):
        epoch = len(self.used) // 3
        self.hard, self.helps = [f"sample-{n}" for n in self.hard_by_epoch[epoch]], False
        super().roll_out()


def test_between_searches_templates_go_to_whom_is_hard_by_then(project, pair):
    miner, evolution = pair(every_n_epochs=3, directory=project.folder)
    _, data = project.fit([miner, evolution], epochs=7, data=Changing())
    hard = [[f"sample-{n}" for n in numbers] for numbers in data.hard_by_epoch]
    # A search before the epochs 3 and 6 that finds for the epoch before; 4 and 5 deal.
    assert [searched for searched, *_ in evolution.evolver.asked] == [hard[2], hard[5]]
    assert data.used[::3] == [[], [], [], hard[2], hard[3], hard[4], hard[5]]
    seed = evolution.evolver.asked[0][2]
    # Dealt is always what the search found, so that who was hard then can have his own again.
    assert evolution.evolver.dealt == [(hard[2], now, 4, seed) for now in hard[3:5]]
    written = {
        path.name: PromptPool.from_state_dict(json.loads(path.read_text()))
        for path in (project.folder / "evolution").iterdir()
    }
    assert {name: sorted(pool.assignment) for name, pool in written.items()} == {
        f"epoch_000{epoch}.json": hard[epoch - 1] for epoch in (3, 4, 5, 6)
    }


def test_each_pool_is_written_and_can_be_read_back(project, pair):
    _, evolution = callbacks = pair(directory=project.folder / "run")
    project.fit(callbacks, epochs=2)
    [path] = (project.folder / "run" / "evolution").iterdir()
    assert path.name == "epoch_0001.json"
    assert PromptPool.from_state_dict(json.loads(path.read_text())) == evolution.pool


def test_ranks_compare_pools_without_sending_them(project, pair, monkeypatch):
    sent = []

    def gather(value):
        sent.append(value)
        return [value]

    monkeypatch.setattr("p2o_callbacks.evolution.gather", gather)
    project.fit(pair(), epochs=3)
    assert len(set(sent)) == 2
    assert all(len(value) < 100 for value in sent)


def test_what_a_search_spent_and_found_is_logged(project, pair):
    logger = CSVLogger(project.folder)
    project.fit(pair(), epochs=2, logger=logger)
    with (Path(logger.log_dir) / "metrics.csv").open() as file:
        [row] = [row for row in csv.DictReader(file) if row["evolution/metric_calls"]]
    assert row["step"] == "3"
    found = {name: float(row[name]) for name in row if name.startswith("evolution/")}
    assert found == {
        "evolution/metric_calls": 3,
        "evolution/iterations": 1,
        "evolution/failed": 0,
        "evolution/templates": 2,
        "evolution/cover": 1,
        "evolution/best_score": 1.0,
    }


def test_trials_and_searches_get_seeds_that_do_not_repeat(project, pair):
    runs = []
    for seed in (0, 0, 1):
        _, evolution = callbacks = pair(seed=seed)
        _, data = project.fit(callbacks, epochs=4)
        seeds = [seed for _, seed in data.trials] + [seed for *_, seed in evolution.evolver.asked]
        assert len(seeds) == len(set(seeds)) == 5
        runs.append(seeds)
    assert runs[0] == runs[1]
    assert not set(runs[0]) & set(runs[2])


# Every third step ends an epoch; Lightning counts a checkpoint of its last batch as a finished one.
@pytest.mark.parametrize(
    ("every", "step"),
    [*((1, step) for step in (1, 2, 3, 4, 5, 6, 7)), *((2, step) for step in (3, 6, 8, 9, 10))],
)
def test_a_run_resumed_in_the_middle_of_an_epoch_equals_one_that_never_stopped(
    project, pair, every, step
):
    saver = ModelCheckpoint(project.folder, filename="{step}", every_n_train_steps=1, save_top_k=-1)
    whole, rest = pair(every_n_epochs=every), pair(every_n_epochs=every)
    _, uninterrupted = project.fit([*whole, saver], epochs=4, enable_checkpointing=True)
    _, resumed = project.fit(rest, epochs=4, checkpoint=project.folder / f"step={step}.ckpt")
    assert resumed.used == uninterrupted.used[step:]
    assert states(rest) == states(whole)


def test_a_run_whose_last_batch_of_all_is_saved_has_its_hard_set_and_makes_no_search(project, pair):
    saver = ModelCheckpoint(project.folder, filename="{step}", every_n_train_steps=3, save_top_k=-1)
    whole, rest = pair(), pair()
    project.fit([*whole, saver], epochs=2, enable_checkpointing=True)
    _, resumed = project.fit(rest, epochs=2, checkpoint=project.folder / "step=6.ckpt")
    assert (resumed.used, resumed.trials, rest[1].evolver.asked) == ([], [], [])
    # Hard after the first epoch, solved with the template in the second.
    assert rest[0].hard_set == whole[0].hard_set == []
    assert rest[1].state_dict() == whole[1].state_dict()


def rows(logger):
    """What was logged at each step: a whole run and its rest may put it into other rows."""
    logged = {}
    with (Path(logger.log_dir) / "metrics.csv").open() as file:
        for row in csv.DictReader(file):
            named = {name: row[name] for name in row if name.startswith(("hard/", "evolution/"))}
            logged |= {(row["step"], name): value for name, value in named.items() if value}
    return logged


@pytest.mark.parametrize("accumulate", [1, 2])
@pytest.mark.parametrize("miner_first", [True, False])
def test_the_end_of_an_epoch_whose_last_batch_is_saved_is_logged_by_the_resumed_run(
    project, pair, accumulate, miner_first
):
    def fit(name, *more, **options):
        logger, callbacks = CSVLogger(project.folder, name), pair()
        ordered = callbacks if miner_first else callbacks[::-1]
        options |= {"epochs": 2, "logger": logger, "accumulate_grad_batches": accumulate}
        _, data = project.fit([*ordered, *more], **options)
        return rows(logger), data.used, states(callbacks)

    class Saver(Callback):
        def on_train_batch_end(self, trainer, pl_module, outputs, batch, batch_idx):
            if trainer.current_epoch == 0 and batch_idx == 2:
                trainer.save_checkpoint(project.folder / "last batch.ckpt")

    whole, used, state = fit("whole", Saver())
    resumed, used_then, state_then = fit("rest", checkpoint=project.folder / "last batch.ckpt")
    assert resumed == whole
    assert len({step for step, _ in whole}) == 3
    assert (used_then, state_then) == (used[3:], state)


def test_a_loader_that_rolls_out_as_it_is_read_has_the_pool_of_an_epoch_that_starts_untold(
    project, pair
):
    class Rolling(project.Loader):
        def __iter__(self):
            for number in range(3):
                self.roll_out()
                yield torch.tensor(number)

    class Module(project.Module):
        def training_step(self, batch, batch_index):
            return self.weight.sum()

    def fit(callbacks, checkpoint=None, **options):
        loader = Rolling()
        trainer = project.trainer(callbacks, 3, **options)
        trainer.fit(Module(), loader, ckpt_path=checkpoint, weights_only=True)
        return loader.used

    saver = ModelCheckpoint(project.folder, filename="{step}", every_n_train_steps=3, save_top_k=-1)
    whole = fit([*pair(), saver], enable_checkpointing=True)
    assert (
        fit(pair(), project.folder / "step=3.ckpt") == whole[3:] == [*[project.hard] * 3, *[[]] * 3]
    )


@pytest.mark.parametrize("epochs", [1, 2])
def test_a_run_resumed_after_an_epoch_equals_one_that_never_stopped(project, pair, epochs):
    trainer, _ = project.fit(pair(), epochs=epochs)
    trainer.save_checkpoint(project.folder / "end.ckpt")
    whole, rest = pair(), pair()
    _, uninterrupted = project.fit(whole, epochs=4)
    _, resumed = project.fit(rest, epochs=4, checkpoint=project.folder / "end.ckpt")
    assert resumed.used == uninterrupted.used[3 * epochs :]
    assert resumed.trials == uninterrupted.trials[-len(resumed.trials) :]
    assert states(rest) == states(whole)
    assert rest[1].pool.assignment


class AllBare(OneTemplate):
    """Deals out nothing, by name."""

    def evolve(self, hard_set, evaluate, *, group_size, seed, report):
        return Evolution(PromptPool(assignment=self.rows(hard_set, group_size)))

    def deal(self, pool, hard_set, *, group_size, seed):
        assert not pool.cover
        return self.rows(hard_set, group_size)

    def rows(self, hard_set, group_size):
        return {name: (None,) * group_size for name in hard_set}


def test_a_resumed_run_may_have_larger_groups_though_a_search_left_all_bare(project):
    class Larger(project.Data):
        def __init__(self, group_size=4):
            super().__init__()
            self.group_size = group_size

        def roll_out(self):
            assert not any(
                self.pool.hint_for(name, self.group_size - 1) for name in project.samples
            )
            super().roll_out()

    def callbacks():
        return [HardSampleMiner(), PromptEvolution(AllBare(), every_n_epochs=2)]

    trainer, data = project.fit(callbacks(), epochs=3, data=Larger())
    assert set(data.pool.assignment) == set(project.hard)
    trainer.save_checkpoint(project.folder / "end.ckpt")
    whole = project.folder / "end.ckpt"
    _, data = project.fit(callbacks(), epochs=4, data=Larger(6), checkpoint=whole)
    assert data.pool.assignment == {name: (None,) * 6 for name in project.hard}


def test_a_search_that_a_checkpoint_holds_is_not_made_again(project, pair):
    class Saver(Callback):
        def on_train_epoch_start(self, trainer, pl_module):
            trainer.save_checkpoint(project.folder / f"start_{trainer.current_epoch}.ckpt")

    whole, rest = pair(), pair()
    project.fit([*whole, Saver()], epochs=2)
    _, resumed = project.fit(rest, epochs=2, checkpoint=project.folder / "start_1.ckpt")
    assert resumed.trials == []
    assert resumed.used[0] == project.hard
    assert rest[1].pool == whole[1].pool


def test_a_checkpoint_that_does_not_tell_its_epoch_is_taken_over(project, pair):
    """As those of before it was kept."""
    trainer, _ = project.fit(pair(), epochs=1)
    trainer.save_checkpoint(project.folder / "end.ckpt")
    old = torch.load(project.folder / "end.ckpt", weights_only=True)
    del old["callbacks"]["HardSampleMiner"]["epoch"]
    torch.save(old, project.folder / "old.ckpt")
    whole, rest = pair(), pair()
    project.fit(whole, epochs=2)
    project.fit(rest, epochs=2, checkpoint=project.folder / "old.ckpt")
    assert states(rest) == states(whole)


def test_a_search_that_crashes_is_made_again_by_the_resumed_run(project, pair):
    class Crash(project.Evolver):
        def evolve(self, *arguments, **options):
            raise RuntimeError("out of memory")

    saver = ModelCheckpoint(project.folder, filename="end")
    crashing = [HardSampleMiner(), PromptEvolution(Crash()), saver]
    with pytest.raises(RuntimeError, match="out of memory"):
        project.fit(crashing, epochs=2, enable_checkpointing=True)
    whole, rest = pair(), pair()
    project.fit(whole, epochs=2)
    project.fit(rest, epochs=2, checkpoint=project.folder / "end.ckpt")
    assert states(rest) == states(whole)


def test_evolution_without_a_miner_is_refused(project, pair):
    _, evolution = pair()
    with pytest.raises(TypeError, match="such as HardSampleMiner, in"):
        project.fit([evolution])


def test_a_miner_is_found_wherever_it_stands(project, pair):
    miner, evolution = pair(seed=7)
    _, data = project.fit([evolution, Callback(), miner], epochs=3)
    assert [hard for hard, _, _ in evolution.evolver.asked] == [project.hard, []]
    assert data.used == [[]] * 3 + [project.hard] * 3 + [[]] * 3


@pytest.mark.parametrize(
    ("callback", "members"),
    [
        (lambda evolver: HardSampleMiner(), "add_group_observer, group_size"),
        (PromptEvolution, "evaluate_templates, group_size, publish_pool"),
    ],
)
def test_a_project_that_lacks_members_is_told_which(project, callback, members):
    class Bare(LightningDataModule):
        def train_dataloader(self):
            raise AssertionError("must be refused before any data is asked for")

    with pytest.raises(TypeError, match=f"needs a datamodule.* with {members} "):
        project.fit([callback(project.Evolver())], data=Bare())


def test_a_threshold_above_the_group_size_is_refused_before_any_rollout(project):
    data = project.Data()
    with pytest.raises(ConfigurationError, match="threshold=5 is above the group size of 4"):
        project.fit([HardSampleMiner(5)], data=data)
    assert not data.used


def test_fewer_trials_than_pairs_are_refused(project, pair):
    class Short(project.Data):
        def evaluate_templates(self, pairs, seed):
            return super().evaluate_templates(pairs, seed)[:-1]

    with pytest.raises(ValueError, match="returned 2 trials for 3 pairs"):
        project.fit(pair(), epochs=2, data=Short())


def test_a_last_search_before_the_first_is_refused(project):
    with pytest.raises(ConfigurationError, match="last_search=0: "):
        PromptEvolution(project.Evolver(), last_search=0)


@pytest.mark.parametrize("every_n_epochs", [0, -1])
def test_an_interval_that_means_nothing_is_refused(project, every_n_epochs):
    with pytest.raises(ConfigurationError, match=f"every_n_epochs={every_n_epochs}: "):
        PromptEvolution(project.Evolver(), every_n_epochs=every_n_epochs)


@pytest.mark.parametrize("bare", [1, 3])
def test_some_rollouts_of_a_hinted_sample_stay_bare(project, pair, bare):
    _, evolution = callbacks = pair(bare_rollouts=bare, every_n_epochs=2)
    project.fit(callbacks, epochs=5)
    assert {size for _, size, _ in evolution.evolver.asked} == {4 - bare}
    assert {size for *_, size, _ in evolution.evolver.dealt} == {4 - bare}
    pools = [
        json.loads((project.folder / "evolution" / f"epoch_{epoch:04}.json").read_text())
        for epoch in (2, 4)
    ]
    for pool in (*(each["assignment"] for each in pools), evolution.pool.assignment):
        assert pool.keys() == set(project.hard)
        assert {tuple(drawn) for drawn in pool.values()} == {(1,) * (4 - bare) + (None,) * bare}


@pytest.mark.parametrize(
    ("bare", "line"),
    [
        (-1, "bare_rollouts=-1: give at least 0"),
        (4, "bare_rollouts=4 leaves no rollout of a group of 4 for a hint; give at most 3"),
    ],
)
def test_bare_rollouts_that_leave_none_for_a_hint_are_refused_before_any(project, pair, bare, line):
    data = project.Data()
    with pytest.raises(ConfigurationError, match=line):
        project.fit(pair(bare_rollouts=bare), data=data)
    assert not data.used


def test_a_search_that_finds_nothing_leaves_the_next_epoch_bare(project):
    class Nothing(OneTemplate):
        def evolve(self, hard_set, evaluate, **options):
            return Evolution(PromptPool())

    _, data = project.fit([HardSampleMiner(), PromptEvolution(Nothing())], epochs=2)
    assert data.used == [[]] * 6


def test_only_a_fit_needs_the_parts(project, pair):
    class Data(LightningDataModule):
        def val_dataloader(self):
            return DataLoader(torch.arange(1))  # type: ignore[arg-type]

    class Module(project.Module):
        def validation_step(self, batch, batch_index):
            self.log("seen", 1.0)

    trainer = project.trainer(pair())
    assert trainer.validate(Module(), datamodule=Data(), verbose=False) == [{"seen": 1.0}]


def test_a_search_before_the_first_epoch_has_no_hard_set_yet(project, pair):
    miner, evolution = pair(at_start=True)
    project.fit([miner, evolution], epochs=2)
    assert [hard for hard, _, _ in evolution.evolver.asked] == [[], project.hard]
