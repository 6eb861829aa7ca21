import io
import re

import pytest
from lightning.pytorch.callbacks import ModelCheckpoint
from rich.console import Console

from p2o_callbacks import (
    Evolution,
    EvolutionDisplay,
    EvolutionProgress,
    HardSampleMiner,
    LoopProgress,
    PromptEvolution,
    PromptPool,
    Template,
)
from p2o_callbacks.pace import Pace
from tests.callbacks.conftest import OneTemplate

METRICS = {"hard/size": "hard {:.0f}"}


class Reporting(OneTemplate):
    """A search that reports three times."""

    def evolve(self, hard_set, evaluate, *, group_size, seed, report):
        for calls, best, size in ((24, 0.0, 1), (300, 0.25, 2), (588, 0.75, 12)):
            report(EvolutionProgress(calls, 600, best, size))
        return Evolution(PromptPool((Template(""), Template("Think.")), (1,), {}), 588, 9)


def callbacks(progress):
    return [HardSampleMiner(), PromptEvolution(Reporting()), progress]


class Free(Reporting):
    """A search that makes no calls; tells how many there have been."""

    searches = 0

    def evolve(self, hard_set, evaluate, *, group_size, seed, report):
        self.searches += 1
        report(EvolutionProgress(0, 0, 0.5, self.searches))
        templates = tuple(Template(f"Think {n}.") for n in range(self.searches))
        return Evolution(PromptPool(templates, tuple(range(self.searches)), {}))


class Screen(io.StringIO):
    """What a terminal is written."""

    def isatty(self):
        return True


@pytest.fixture
def terminal(monkeypatch):
    """Give `LoopProgress` a terminal of 80 columns; call for the lines it was sent so far."""
    sent = Screen()

    def make(stderr):
        assert stderr
        return Console(file=sent, force_terminal=True, width=80, height=25, _environ={})

    def lines():
        text = re.sub(r"\x1b\[[0-9;]*m", "", sent.getvalue())
        # Whatever moves the cursor begins another line.
        return [line.rstrip() for line in re.split(r"[\r\n]|\x1b\[[?0-9;]*[A-Za-z]", text) if line]

    monkeypatch.setattr("p2o_callbacks.progress.Console", make)
    return lines


def test_evolutions_within_an_epoch_that_spend_nothing_leave_one_line_together(project, capsys):
    search = PromptEvolution(Free(), every_n_steps=1)
    each = [HardSampleMiner(), search, LoopProgress(METRICS)]
    project.fit(each, epochs=2, enable_progress_bar=True)
    lines = capsys.readouterr().err.splitlines()
    assert [line for line in lines if line.startswith(("epoch", "evolution"))] == [
        "evolution  3 templates for 3 hard samples",
        "epoch 1/2  step 3  hard 3",
        # After the last step there is no search, which nothing could use.
        "evolution  5 templates for 3 hard samples",
        "epoch 2/2  step 6  hard 3",
    ]


def test_it_is_a_display_of_evolutions():
    assert isinstance(LoopProgress(), EvolutionDisplay)


def test_where_nobody_watches_there_is_a_line_for_each_epoch_and_each_search(project, capsys):
    project.fit(callbacks(LoopProgress(METRICS)), epochs=3, enable_progress_bar=True)
    out, err = capsys.readouterr()
    lines = [line for line in err.splitlines() if line.startswith(("epoch", "evolution"))]
    assert lines == [
        "epoch 1/3  step 3  hard 3",
        "evolution  588/600 metric calls, 1 template for 3 hard samples",
        "epoch 2/3  step 6  hard 3",
        "evolution  588/600 metric calls, 1 template for 3 hard samples",
        "epoch 3/3  step 9  hard 3",
    ]
    assert "epoch" not in out
    assert "\x1b" not in err


# What it says is true of a pipe, too, that rich is told to colour.
@pytest.mark.parametrize("colour", ["", "1"])
def test_where_nobody_watches_a_phase_says_that_it_begins_and_how_much_there_is_to_do(
    project, capsys, monkeypatch, colour
):
    monkeypatch.setenv("FORCE_COLOR", colour)
    project.fit(callbacks(LoopProgress(METRICS)), epochs=2, enable_progress_bar=True)
    lines = [line for line in capsys.readouterr().err.splitlines() if line.startswith("start")]
    assert lines == [
        "start: epoch 1/2, 3 steps",
        "start: evolution, at most 600 metric calls",
        "start: epoch 2/2, 3 steps",
    ]


def test_a_search_that_makes_no_metric_calls_tells_of_none(project, capsys):
    class Free(Reporting):
        def evolve(self, hard_set, evaluate, *, group_size, seed, report):
            report(EvolutionProgress(0, 0, 0.5, 1))
            return Evolution(PromptPool((Template("Think."),), (0,), {}))

    watched = [HardSampleMiner(), PromptEvolution(Free()), LoopProgress(METRICS)]
    project.fit(watched, epochs=2, enable_progress_bar=True)
    lines = [line for line in capsys.readouterr().err.splitlines() if "evolution" in line]
    assert lines == ["evolution  1 template for 3 hard samples"]


def test_where_nobody_watches_a_slow_phase_says_how_far_it_is(project, capsys, monkeypatch):
    minutes = iter(range(0, 60_000, 60))
    monkeypatch.setattr(
        "p2o_callbacks.progress.Pace",
        lambda total, done=0: Pace(total, done, clock=lambda: next(minutes)),
    )
    project.fit(callbacks(LoopProgress(METRICS)), epochs=2, enable_progress_bar=True)
    lines = [line for line in capsys.readouterr().err.splitlines() if line.startswith("  ")]
    assert lines[:3] == [
        "  epoch 1/2, steps: 1 of 3 after 1:00, about 2:00 left",
        "  epoch 1/2, steps: 2 of 3 after 2:00, about 1:00 left",
        "  epoch 1/2, steps: 3 of 3 after 3:00",
    ]
    assert lines[3:6] == [
        "  evolution, metric calls: 24 of 600 after 1:00",
        "  evolution, metric calls: 300 of 600 after 2:00, about 2:10 left",
        "  evolution, metric calls: 588 of 600 after 3:00, about 0:04 left",
    ]


@pytest.mark.parametrize(
    ("evolution", "outcome"),
    [
        (Evolution(PromptPool()), "no search for 3 hard samples"),
        (Evolution(PromptPool(), 9), "no template for 3 hard samples"),
        (
            Evolution(PromptPool((Template("", score=0.25),)), 9),
            "no template for 3 hard samples (bare dev score 0.25)",
        ),
        (
            Evolution(PromptPool((Template(""), Template("a"), Template("b")), (1, 2)), 9),
            "2 templates for 3 hard samples",
        ),
    ],
)
def test_the_line_that_a_search_leaves_says_what_came_of_it(project, capsys, evolution, outcome):
    class Evolver(OneTemplate):
        def evolve(self, hard_set, evaluate, **options):
            return evolution

    watched = [HardSampleMiner(), PromptEvolution(Evolver()), LoopProgress(METRICS)]
    project.fit(watched, epochs=2, enable_progress_bar=True)
    assert f"evolution  {outcome}" in capsys.readouterr().err.splitlines()


def test_without_an_end_in_sight_the_epoch_has_no_total(project, capsys):
    progress = LoopProgress(METRICS)
    project.fit([*callbacks(progress)], epochs=-1, max_steps=3, enable_progress_bar=True)
    assert "epoch 1  step 3  hard 3" in capsys.readouterr().err.splitlines()


@pytest.fixture
def endless(project):
    """A train dataloader that does not know how long it is."""

    class Loader(project.Loader):
        __len__ = None

    return Loader()


def test_without_a_length_the_epoch_has_no_total(project, endless, capsys, monkeypatch):
    minutes = iter(range(0, 60_000, 60))
    monkeypatch.setattr(
        "p2o_callbacks.progress.Pace",
        lambda total, done=0: Pace(total, done, clock=lambda: next(minutes)),
    )
    watched = [HardSampleMiner(), LoopProgress(METRICS)]
    project.fit(watched, data=endless, enable_progress_bar=True)
    lines = [line for line in capsys.readouterr().err.splitlines() if "epoch 1" in line]
    assert lines == [
        "start: epoch 1/1",
        "  epoch 1/1, steps: 1 after 1:00",
        "  epoch 1/1, steps: 2 after 2:00",
        "  epoch 1/1, steps: 3 after 3:00",
        "epoch 1/1  step 3  hard 3",
    ]


def test_on_a_terminal_an_epoch_without_a_length_shows_no_time_left(project, endless, terminal):
    watched = [HardSampleMiner(), LoopProgress(METRICS)]
    project.fit(watched, epochs=2, data=endless, enable_progress_bar=True)
    live = [line for line in terminal() if line.startswith("epoch 2/2 ") and "━" in line]
    assert any("3/? 0:00:0" in line for line in live)
    assert not any("left" in line for line in live)


@pytest.mark.parametrize("number", [1, 8])
def test_on_a_terminal_no_line_is_longer_than_it_and_only_metrics_are_cut(
    project, terminal, number
):
    texts = {f"reward/{index}": f"reward of kind {index} {{:.3f}}" for index in range(number)}

    class Module(project.Module):
        def training_step(self, batch, batch_index):
            self.log_dict(dict.fromkeys(texts, 0.123))
            return super().training_step(batch, batch_index)

    trainer = project.trainer(callbacks(LoopProgress(texts)), 12, enable_progress_bar=True)
    trainer.fit(Module(), datamodule=project.Data())
    lines = terminal()
    assert max(map(len, lines)) <= 80
    live = [line for line in lines if line.startswith("epoch 12/12 ") and "━" in line]
    assert any("3/3 0:00:0" in line and "reward of kind 0 0.123" in line for line in live)
    assert all(line.endswith("…") == (number == 8) for line in live if "reward" in line)
    assert all("left" in line for line in live)
    left = next(line for line in lines if line.startswith("epoch 12/12  step 36"))
    assert "reward of kind 0 0.123" in left


def test_on_a_terminal_the_search_shows_budget_best_score_and_pool(project, terminal):
    progress = LoopProgress(METRICS)
    shown = []

    class Watching(Reporting):
        def evolve(self, hard_set, evaluate, *, group_size, seed, report):
            def look(step):
                report(step)
                assert progress._progress is not None
                progress._progress.refresh()
                shown.append(terminal()[-1])

            return super().evolve(hard_set, evaluate, group_size=group_size, seed=seed, report=look)

    project.fit(
        [HardSampleMiner(), PromptEvolution(Watching()), progress],
        epochs=2,
        enable_progress_bar=True,
    )
    assert len(shown) == 3
    for line, (calls, note) in zip(
        shown,
        [
            ("24/600", "best dev 0.00  pool 1"),
            ("300/600", "best dev 0.25  pool 2"),
            ("588/600", "best dev 0.75  pool 12"),
        ],
        strict=True,
    ):
        assert line.startswith("evolution")
        assert calls in line
        assert note in line
        assert len(line) <= 80
    assert "evolution  588/600 metric calls, 1 template for 3 hard samples" in terminal()


def test_it_can_watch_a_second_fit(project, terminal):
    progress = LoopProgress(METRICS)
    for epochs in (1, 2):
        project.fit([HardSampleMiner(), progress], epochs=epochs, enable_progress_bar=True)
    assert "epoch 2/2  step 6  hard 3" in terminal()


def test_after_a_crash_the_terminal_is_given_back_and_it_can_watch_again(project, terminal):
    class Crash(OneTemplate):
        def evolve(self, hard_set, evaluate, *, group_size, seed, report):
            report(EvolutionProgress(1, 2, 0.0, 1))
            raise RuntimeError("out of memory")

    progress = LoopProgress(METRICS)
    crashing = [HardSampleMiner(), PromptEvolution(Crash()), progress]
    with pytest.raises(RuntimeError, match="out of memory"):
        project.fit(crashing, epochs=2, enable_progress_bar=True)
    assert progress._progress is None
    project.fit(callbacks(progress), epochs=2, enable_progress_bar=True)
    assert "epoch 2/2  step 6  hard 3" in terminal()


def test_an_epoch_resumed_in_its_middle_is_shown(project, capsys):
    saver = ModelCheckpoint(project.folder, filename="{step}", every_n_train_steps=2, save_top_k=-1)
    project.fit([HardSampleMiner(), saver], epochs=1, enable_checkpointing=True)
    project.fit(
        [HardSampleMiner(), LoopProgress(METRICS)],
        epochs=1,
        checkpoint=project.folder / "step=2.ckpt",
        enable_progress_bar=True,
    )
    assert "epoch 1/1  step 3  hard 3" in capsys.readouterr().err.splitlines()


def test_ranks_that_show_nothing_say_nothing(project, capsys):
    class Other(LoopProgress):
        def on_train_start(self, trainer, pl_module):
            self.disable()
            super().on_train_start(trainer, pl_module)

    project.fit(callbacks(Other(METRICS)), epochs=2, enable_progress_bar=True)
    assert "evolution" not in capsys.readouterr().err
