"""Several of a kind in one trainer, searches between steps, and nothing of Lightning's own."""

import ast
import csv
import random
from pathlib import Path
from typing import Any

import pytest
import torch
from lightning.pytorch import Callback
from lightning.pytorch.callbacks import ModelCheckpoint
from lightning.pytorch.loggers import CSVLogger

import p2o_callbacks
from p2o_callbacks import (
    ConfigurationError,
    Evolution,
    HardSampleMiner,
    MetricBounds,
    PromptEvolution,
    PromptPool,
    RolloutBudget,
    ShareOfStart,
    Template,
)
from p2o_callbacks.protocols import logging_step
from tests.callbacks.conftest import SAMPLES, ForeignData, OneTemplate


class TwoKinds(ForeignData):
    """The last sample is solved in one rollout of two, the first three in none."""

    def roll_out(self):
        observers, self.observers = self.observers, []
        super().roll_out()
        self.observers = observers
        for observer in observers:
            observer([self.outcome(name) for name in SAMPLES])

    def outcome(self, name):
        right = {**dict.fromkeys(self.hard, 0), SAMPLES[-1]: 2}.get(name, 4)
        if self.pool.text_for(name, 0):
            right = 4
        solved = tuple(index < right for index in range(4))
        return p2o_callbacks.GroupOutcome(name, tuple(map(float, solved)), solved)


class Named(OneTemplate):
    """Finds one template, with a text of its own."""

    def __init__(self, text):
        super().__init__()
        self.text = text

    def evolve(self, hard_set, evaluate, **options):
        pool = super().evolve(hard_set, evaluate, **options).pool
        templates = tuple(Template(self.text if each.text else "") for each in pool.templates)
        return Evolution(PromptPool(templates, pool.cover, pool.assignment))


@pytest.fixture
def four():
    """Two miners, each with a search of its own, in an order that suits none of them."""

    def make():
        return [
            PromptEvolution(Named("Think."), name="thoughts", miner="never"),
            HardSampleMiner(1, name="never"),
            PromptEvolution(Named("Check."), name="checks", miner="seldom"),
            HardSampleMiner(3, name="seldom"),
        ]

    return make


def test_two_miners_and_two_searches_work_side_by_side(project, four):
    logger = CSVLogger(project.folder)
    thoughts, never, checks, seldom = four()
    _, data = project.fit(
        [thoughts, never, checks, seldom], epochs=2, data=TwoKinds(), logger=logger
    )
    # In the first epoch; in the second all of them are helped.
    assert thoughts.evolver.asked[0][0] == SAMPLES[:3]
    assert checks.evolver.asked[0][0] == [*SAMPLES[:3], SAMPLES[-1]]
    assert [data.pool.text_for(name, 0) for name in SAMPLES] == [
        *["Check."] * 3,
        *[""] * 2,
        "Check.",
    ]
    assert [template.text for template in data.pool.templates] == ["", "Think.", "", "Check."]
    assert data.pool.templates[-1].parents == ()
    assert data.pool.cover == (1, 3)
    with (Path(logger.log_dir) / "metrics.csv").open() as file:
        names = set(next(csv.reader(file)))
    assert {"never/size", "seldom/size", "thoughts/cover", "checks/cover"} <= names
    assert not {name for name in names if name.startswith(("hard/", "evolution/"))}
    assert (project.folder / "thoughts" / "epoch_0001.json").is_file()
    assert (project.folder / "checks" / "epoch_0001.json").is_file()


def test_two_searches_draw_seeds_of_their_own(project):
    """The trials of both are drawn by the same policy at the same time."""

    def seeds(*names):
        evolvers = [OneTemplate() for _ in names]
        parts = zip(evolvers, names, strict=True)
        searches = [PromptEvolution(evolver, name=name) for evolver, name in parts]
        _, data = project.fit([HardSampleMiner(), *searches], epochs=2)
        asked = [seed for each in evolvers for *_, seed in each.asked]
        return asked, [seed for _, seed in data.trials]

    asked, tried = seeds("thoughts", "checks", "evolution")
    assert len(set(asked)) == len(set(tried)) == 3
    # Of a search that was given no name they are what they were.
    drawn = [random.Random(f"0/{part}").getrandbits(62) for part in ("search/1", "trial/1/1")]
    assert [asked[-1], tried[-1]] == drawn


class InVain(OneTemplate):
    """Leaves all that is hard bare: with nothing, or with the empty template."""

    def __init__(self, index):
        super().__init__()
        self.index = index

    def evolve(self, hard_set, evaluate, *, group_size, seed, report):
        rows = {name: (self.index,) * group_size for name in hard_set}
        return Evolution(PromptPool((Template(""), Template("Check.")), (), rows))


@pytest.mark.parametrize("index", [None, 0])
def test_a_search_that_leaves_a_sample_bare_takes_no_template_of_another_away(project, index):
    helps = PromptEvolution(Named("Think."), name="thoughts")
    in_vain = PromptEvolution(InVain(index), name="checks")
    _, data = project.fit([HardSampleMiner(), helps, in_vain], epochs=2)
    assert data.used[3:] == [project.hard] * 3


def test_the_states_of_several_are_kept_apart(project, four):
    whole, rest = four(), four()
    trainer, _ = project.fit(whole, epochs=2, data=TwoKinds())
    trainer.save_checkpoint(project.folder / "end.ckpt")
    project.fit(rest, epochs=2, data=TwoKinds(), checkpoint=project.folder / "end.ckpt")
    assert [each.state_dict() for each in rest] == [each.state_dict() for each in whole]
    assert len({each.state_key for each in whole}) == 4
    assert whole[0].pool != whole[2].pool


def test_one_of_a_kind_is_kept_under_the_name_of_its_class():
    assert HardSampleMiner().state_key == "HardSampleMiner"
    assert PromptEvolution(OneTemplate()).state_key == "PromptEvolution"
    guards = [MetricBounds("loss"), MetricBounds("loss", maximum=1), ShareOfStart()]
    assert len({guard.state_key for guard in guards}) == 3


@pytest.mark.parametrize("miner", [None, "often"])
def test_which_of_several_miners_is_meant_has_to_be_said(project, miner):
    miners = [HardSampleMiner(1, name="never"), HardSampleMiner(3, name="seldom")]
    with pytest.raises(ConfigurationError, match="names never, seldom; name one of them"):
        project.fit([*miners, PromptEvolution(OneTemplate(), miner=miner)])


class Remembers(OneTemplate):
    """Notes after which of the project's steps it searched."""

    def __init__(self, data):
        super().__init__()
        self.data, self.after = data, []

    def evolve(self, hard_set, evaluate, **options):
        self.after.append(len(self.data.used))
        return super().evolve(hard_set, evaluate, **options)


def stepwise(data, every):
    return [PromptEvolution(Remembers(data), every_n_steps=every), HardSampleMiner()]


def test_a_search_can_run_every_n_steps_for_who_is_hard_by_then(project):
    data = ForeignData()
    evolution, miner = callbacks = stepwise(data, 2)
    project.fit(callbacks, epochs=3, data=data)
    # Who is hard after the second step is helped in the third. Nobody is hard when the epoch ends,
    # so the fourth is bare, and so on. No search follows the last epoch.
    assert evolution.evolver.after == [2, 4, 6, 8]
    hard = project.hard
    assert [asked for asked, *_ in evolution.evolver.asked] == [hard, hard, [], hard]
    assert data.used == [[], [], hard, [], hard, hard, [], [], hard]
    names = sorted(path.name for path in (project.folder / "evolution").glob("*_step_*.json"))
    places = ((0, 2), (1, 4), (1, 6), (2, 8))
    assert names == [f"epoch_{epoch:04d}_step_{step:08d}.json" for epoch, step in places]


def test_a_search_that_is_due_when_a_run_is_over_is_not_made(project):
    for options in ({"epochs": 2}, {"epochs": 9, "max_steps": 6}):
        data = ForeignData()
        evolution, miner = callbacks = stepwise(data, 3)
        project.fit(callbacks, data=data, **options)
        assert evolution.evolver.after == [3]


@pytest.mark.parametrize("place", [0, 2], ids=["before", "behind"])
# Of two batches an update, the third one of an epoch makes one alone.
@pytest.mark.parametrize(("accumulate", "batches", "searched"), [(1, 4, [2]), (2, 6, [3])])
def test_a_search_that_is_due_when_a_budget_is_spent_is_not_made(
    project, place, accumulate, batches, searched
):
    data = ForeignData()
    evolution, miner = callbacks = stepwise(data, 2)
    callbacks.insert(place, RolloutBudget(24 * batches))
    project.fit(callbacks, epochs=9, data=data, accumulate_grad_batches=accumulate)
    assert len(data.used) == batches
    assert evolution.evolver.after == searched


@pytest.mark.parametrize("accumulate", [1, 2])
# Every third step ends an epoch; Lightning counts a checkpoint of its last batch as a finished one.
@pytest.mark.parametrize("step", [1, 2, 3, 4, 5, 6])
def test_a_run_with_searches_between_steps_goes_on_as_if_it_had_not_stopped(
    project, accumulate, step
):
    options = {"accumulate_grad_batches": accumulate, "epochs": 4}
    saver = ModelCheckpoint(project.folder, filename="{step}", every_n_train_steps=1, save_top_k=-1)
    one, other = ForeignData(), ForeignData()
    whole, rest = stepwise(one, 2), stepwise(other, 2)
    project.fit([*whole, saver], data=one, enable_checkpointing=True, **options)
    project.fit(rest, data=other, checkpoint=project.folder / f"step={step}.ckpt", **options)
    assert [each.state_dict() for each in rest] == [each.state_dict() for each in whole]
    assert other.used == one.used[-len(other.used) :]


# Every third batch ends an epoch.
@pytest.mark.parametrize("every", [2, 3])
def test_a_search_that_breaks_off_between_steps_is_made_again(project, every):
    class Crash(Remembers):
        def evolve(self, *arguments, **options):
            raise RuntimeError("out of memory")

    data = ForeignData()
    saver = ModelCheckpoint(project.folder, filename="end", save_on_exception=True)
    crashing = [PromptEvolution(Crash(data), every_n_steps=every), HardSampleMiner(), saver]
    with pytest.raises(RuntimeError, match="out of memory"):
        project.fit(crashing, epochs=2, data=data, enable_checkpointing=True)
    [kept] = project.folder.glob("*.ckpt")
    one, other = ForeignData(), ForeignData()
    whole, rest = stepwise(one, every), stepwise(other, every)
    project.fit(whole, epochs=2, data=one)
    project.fit(rest, epochs=2, data=other, checkpoint=kept)
    assert [each.state_dict() for each in rest] == [each.state_dict() for each in whole]
    assert other.used == one.used[every:]


class ColdStart(ForeignData):
    """Rollouts of the first two epochs give no gradient, so that no step is made."""

    def train_dataloader(self) -> Any:
        data = self

        class Loader:
            def __len__(self):
                return 3

            def __iter__(self):
                for _ in range(3):
                    assert data.trainer is not None
                    if data.trainer.current_epoch > 1:
                        yield torch.zeros(1)
                    else:
                        data.roll_out()
                        yield None

        return Loader()


def test_an_epoch_without_a_search_between_steps_is_followed_by_one(project):
    data = ColdStart()
    evolution, miner = callbacks = stepwise(data, 2)
    project.fit(callbacks, epochs=5, data=data)
    # Two before epochs, of three rollouts each, and then after every second step.
    assert evolution.evolver.after == [3, 6, 8, 10, 12, 14]
    assert [asked for asked, *_ in evolution.evolver.asked][:2] == [project.hard, []]
    assert data.used[3:6] == [project.hard] * 3


def test_after_the_last_search_there_is_none_between_steps_either(project):
    data = ForeignData()
    search = Remembers(data)
    evolution = PromptEvolution(search, every_n_steps=2, last_search=2)
    project.fit([evolution, HardSampleMiner()], epochs=5, data=data)
    assert search.after == [2, 4, 6]


@pytest.mark.parametrize("every_n_steps", [0, -1])
def test_an_interval_of_steps_that_means_nothing_is_refused(every_n_steps):
    with pytest.raises(ConfigurationError, match=f"every_n_steps={every_n_steps}: "):
        PromptEvolution(OneTemplate(), every_n_steps=every_n_steps)


class Counts(ForeignData):
    """Validates, and lets a callback compare its step with the trainer's."""

    def val_dataloader(self):
        return self.train_dataloader()


@pytest.mark.parametrize("accumulate", [1, 2, 3])
def test_the_step_at_which_callbacks_log_is_the_trainers_own(project, accumulate):
    seen = []

    def note(trainer, *others):
        own = trainer.fit_loop.epoch_loop._batches_that_stepped
        seen.append((logging_step(trainer), own))

    watch = Callback()
    moments = "train_batch_start", "train_batch_end", "train_epoch_start", "train_end"
    for moment in (*moments, "validation_end"):
        setattr(watch, f"on_{moment}", note)

    class Module(project.Module):
        def validation_step(self, batch, batch_index):
            pass

    trainer = project.trainer(
        [watch], epochs=3, accumulate_grad_batches=accumulate, val_check_interval=1
    )
    trainer.fit(Module(), datamodule=Counts())
    assert len(seen) > 20
    assert [ours for ours, _ in seen] == [own for _, own in seen]


def test_the_callbacks_use_nothing_that_is_lightnings_own():
    """An attribute with an underscore is used on the object itself alone."""
    wrong = []
    for path in sorted(Path(p2o_callbacks.__file__).parent.rglob("*.py")):
        tree = ast.parse(path.read_text())
        own = {
            node.name
            for node in ast.walk(tree)
            if isinstance(node, ast.FunctionDef) and node.name.startswith("_")
        }
        own |= {
            node.attr
            for node in ast.walk(tree)
            if isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store)
        }
        wrong += [
            f"{path.name}:{node.lineno}: {node.attr}"
            for node in ast.walk(tree)
            if isinstance(node, ast.Attribute)
            and node.attr.startswith("_")
            and not node.attr.startswith("__")
            and node.attr not in own
        ]
    assert not wrong


@pytest.mark.parametrize("stop", [None, 3, 4])
def test_templates_of_the_last_search_within_an_epoch_are_dealt_with_its_seed_to_the_end(
    project, stop
):
    def parts(data):
        return [PromptEvolution(Remembers(data), every_n_steps=2, last_search=1), HardSampleMiner()]

    data = ForeignData()
    evolution, miner = parts(data)
    trainer, _ = project.fit([evolution, miner], epochs=stop or 6, data=data)
    # One search, after the second step, within the first epoch.
    [(*_, seed)] = evolution.evolver.asked
    dealt = evolution.evolver.dealt
    if stop is not None:
        trainer.save_checkpoint(project.folder / "end.ckpt")
        evolution, miner = parts(data)
        checkpoint = project.folder / "end.ckpt"
        project.fit([evolution, miner], epochs=6, data=data, checkpoint=checkpoint)
        assert evolution.evolver.asked == []
        dealt = dealt + evolution.evolver.dealt
    assert [dealt_with for *_, dealt_with in dealt] == [seed] * 5
