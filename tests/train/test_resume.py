"""A run that is stopped and resumed ends with the weights of one that never stopped."""

import csv
import json
from pathlib import Path

import pytest
import torch

from p2o.data.sources import TableSource
from p2o.records import read
from p2o.records.schema import TABLES

SMALL = (
    "data.source.train=24",
    "data.source.held_out=8",
    "data.batch=8",
    "data.mini_batch=4",
    "evolution.evolver.budget=120",
    "evolution.evolver.dev_size=6",
    "evolution.evolver.minimum=4",
    "scheduler=warmup_constant",
    "checkpoint.save_top_k=-1",
    "trainer.max_epochs=4",
)


def load(folder: Path, name: str) -> dict:
    return torch.load(folder / "checkpoints" / name, weights_only=True)


@pytest.mark.slow
def test_resumed_from_any_epoch_equals_never_stopped(p2o_train_anew, tmp_path):
    whole = tmp_path / "whole"
    assert p2o_train_anew(*SMALL, f"hydra.run.dir={whole}").returncode == 0
    final = load(whole, "epoch_0003.ckpt")
    for epoch in (0, 1, 2):
        resumed = tmp_path / f"from_{epoch}"
        result = p2o_train_anew(
            *SMALL,
            f"hydra.run.dir={resumed}",
            f"ckpt_path={whole}/checkpoints/epoch_{epoch:04d}.ckpt",
        )
        assert result.returncode == 0, result.stderr
        again = load(resumed, "epoch_0003.ckpt")
        assert again["global_step"] == final["global_step"]
        for name, value in final["state_dict"].items():
            assert torch.equal(again["state_dict"][name], value), name
        for kind in ("HardSampleMiner", "PromptEvolution"):
            assert part(again, kind) == part(final, kind)
        ledger, other = (without_seconds(c["RolloutDataModule"]["ledger"]) for c in (final, again))
        assert ledger == other
        summaries = [json.loads((f / "summary.json").read_text()) for f in (whole, resumed)]
        assert summaries[0]["accuracy"] == summaries[1]["accuracy"]
        assert summaries[0]["templates"] == summaries[1]["templates"]
    found = [
        part(load(whole, f"epoch_{epoch:04d}.ckpt"), "PromptEvolution")["pool"]["cover"]
        for epoch in range(4)
    ]
    assert not found[0]
    assert any(found[1:])


def part(checkpoint: dict, name: str) -> dict:
    [state] = [s for key, s in checkpoint["callbacks"].items() if key.startswith(name)]
    return state


def without_seconds(ledger: dict) -> dict:
    return {
        phase: {counter: n for counter, n in counts.items() if counter != "seconds"}
        for phase, counts in ledger.items()
    }


@pytest.mark.slow
def test_a_run_stopped_short_goes_on_where_it_was_with_more_epochs(p2o_train, tmp_path):
    """The evolution that was due when the first run ended is made by the second."""
    whole, short, rest = (tmp_path / name for name in ("whole", "short", "rest"))
    settings = [s for s in SMALL if "max_epochs" not in s and "scheduler" not in s]
    for folder, more in (
        (whole, ["trainer.max_epochs=3"]),
        (short, ["trainer.max_epochs=1"]),
        (rest, ["trainer.max_epochs=3", f"ckpt_path={short}/checkpoints/last.ckpt"]),
    ):
        result = p2o_train(*settings, f"hydra.run.dir={folder}", *more)
        assert result.returncode == 0, result.stderr
    final, again = (load(folder, "epoch_0002.ckpt") for folder in (whole, rest))
    for name, value in final["state_dict"].items():
        assert torch.equal(again["state_dict"][name], value), name


@pytest.mark.slow
def test_a_run_that_ends_within_an_epoch_goes_on_there_when_it_is_given_more(p2o_train, tmp_path):
    """An epoch has six steps; its end is undone, and what was measured there is not counted."""
    whole, parts = tmp_path / "whole", tmp_path / "parts"
    settings = (*(s for s in SMALL if "scheduler" not in s), "callbacks.accuracy_floor=null")
    said = []
    for folder, steps in ((whole, 8), (parts, 3), (parts, 8), (parts, 8)):
        result = p2o_train(
            *settings, f"hydra.run.dir={folder}", f"+trainer.max_steps={steps}", "resume=auto"
        )
        assert result.returncode == 0, result.stderr
        said.append("had finished before" in result.stdout)
    assert said == [False, False, False, True]
    one, two = load(whole, "last.ckpt"), load(parts, "last.ckpt")
    assert one["global_step"] == two["global_step"] == 8
    for name, value in one["state_dict"].items():
        assert torch.equal(two["state_dict"][name], value), name
    for kind in ("HardSampleMiner", "PromptEvolution"):
        assert part(one, kind) == part(two, kind)
    ledgers = [without_seconds(c["RolloutDataModule"]["ledger"]) for c in (one, two)]
    assert ledgers[0] == ledgers[1]
    for table in TABLES:
        rows = [sorted(map(repr, read(f).query(table).to_pylist())) for f in (whole, parts)]
        assert rows[0] == rows[1], table
    assert metrics(whole) == metrics(parts)
    summaries = [json.loads((f / "summary.json").read_text()) for f in (whole, parts)]
    for key in ("accuracy", "held_out", "hard_set", "templates"):
        assert summaries[0][key] == summaries[1][key], key


@pytest.mark.slow
def test_the_last_evaluation_of_a_shorter_run_is_no_row_of_a_longer_one(p2o_train, tmp_path):
    """It was made since the run ended; the longer run evaluates after every second epoch."""
    settings = (
        *(s for s in SMALL if "scheduler" not in s and "max_epochs" not in s),
        *("evolution=none", "save_policy=null", "+trainer.check_val_every_n_epoch=2"),
    )
    settings = tuple(s for s in settings if not s.startswith("evolution."))
    whole, parts = tmp_path / "whole", tmp_path / "parts"
    for folder, epochs in ((whole, 2), (parts, 1), (parts, 2)):
        result = p2o_train(
            *settings, f"hydra.run.dir={folder}", f"trainer.max_epochs={epochs}", "resume=auto"
        )
        assert result.returncode == 0, result.stderr
    assert metrics(whole) == metrics(parts)


def metrics(folder: Path) -> list[dict[str, str]]:
    """Rows of metrics.csv without what takes another time in each run."""
    with (folder / "metrics.csv").open() as file:
        rows = [{k: v for k, v in row.items() if v} for row in csv.DictReader(file)]
    timed = ("seconds/", "throughput/", "ledger/seconds")
    untimed = [{k: v for k, v in row.items() if not k.startswith(timed)} for row in rows]
    return [row for row in untimed if row.keys() - {"step", "epoch"}]


@pytest.mark.slow
def test_a_run_is_not_written_over(p2o_train, tmp_path):
    short = ("data.source.train=8", "data.source.held_out=4", "data.batch=8", "data.mini_batch=8")
    once = (*short, "data.group_size=2", "evolution=none", "trainer.max_epochs=1")
    assert p2o_train(*once, "hydra.run.dir=run").returncode == 0
    before = {path: path.read_bytes() for path in (tmp_path / "run").rglob("*") if path.is_file()}
    again = p2o_train(*once, "seed=1", "hydra.run.dir=run")
    assert again.returncode == 2
    assert "there is a run in it; resume=auto goes on with that" in again.stderr
    own = [path for path in before if path.suffix != ".log" and path.name != ".lock"]
    assert [path for path in own if path.read_bytes() != before[path]] == []
    longer = p2o_train(*once, "trainer.max_epochs=2", "resume=auto", "hydra.run.dir=run")
    assert longer.returncode == 0, longer.stderr


@pytest.mark.slow
def test_the_same_seed_repeats_a_run_and_another_does_not(p2o_train_anew, tmp_path):
    finals = []
    for name, seed in (("one", 5), ("two", 5), ("three", 6)):
        folder = tmp_path / name
        result = p2o_train_anew(
            *SMALL[:-1], "trainer.max_epochs=2", f"seed={seed}", f"hydra.run.dir={folder}"
        )
        assert result.returncode == 0, result.stderr
        finals.append(load(folder, "epoch_0001.ckpt")["state_dict"])
    assert all(torch.equal(finals[0][name], finals[1][name]) for name in finals[0])
    assert any(not torch.equal(finals[0][name], finals[2][name]) for name in finals[0])


@pytest.mark.slow
@pytest.mark.parametrize(
    "more",
    [
        pytest.param((), id="grpo"),
        pytest.param(
            ("algorithm=dapo", "baseline=bare_success_rate", "trainer.accumulate_grad_batches=2"),
            id="dapo",
        ),
        pytest.param(
            ("distillation=reverse_kl", "teacher=moving_average", "teacher.rate=0.5"),
            id="teacher",
        ),
        pytest.param(("evolution=in_training",), id="search in training"),
    ],
)
def test_resumed_in_the_middle_of_an_epoch_equals_never_stopped(p2o_train, tmp_path, more):
    """Also between two updates on rollouts of one batch, which are not sampled again."""
    other_search = more == ("evolution=in_training",)
    settings = (
        *(s for s in SMALL if "max_epochs" not in s and not (other_search and "evolver" in s)),
        "trainer.max_epochs=2",
        "callbacks.recent.train_time_interval=null",
        "+callbacks.recent.every_n_train_steps=1",
        "callbacks.recent.filename='step_{step}'",
        "+callbacks.recent.auto_insert_metric_name=false",
        "+callbacks.recent.save_top_k=-1",
        *more,
    )
    whole = tmp_path / "whole"
    result = p2o_train(*settings, f"hydra.run.dir={whole}")
    assert result.returncode == 0, result.stderr
    final = load(whole, "epoch_0001.ckpt")
    for step in (1, 3, 6, 7):
        resumed = tmp_path / f"from_{step}"
        result = p2o_train(
            *settings,
            f"hydra.run.dir={resumed}",
            f"ckpt_path={whole}/checkpoints/step_{step}.ckpt",
        )
        assert result.returncode == 0, result.stderr
        again = load(resumed, "epoch_0001.ckpt")
        for name, value in final["state_dict"].items():
            assert torch.equal(again["state_dict"][name], value), (step, name)
        for kind in ("HardSampleMiner", "PromptEvolution"):
            assert part(again, kind) == part(final, kind)
        ledgers = [without_seconds(c["RolloutDataModule"]["ledger"]) for c in (final, again)]
        assert ledgers[0] == ledgers[1]


@pytest.mark.slow
def test_a_run_that_a_callback_has_ended_stays_ended(p2o_train, tmp_path):
    """The trainer remembers its own limits, not those of early stopping or of a budget."""
    settings = (
        *("data.source.train=16", "data.source.held_out=8", "data.batch=8", "data.mini_batch=2"),
        *(
            "evolution=none",
            "trainer.max_epochs=-1",
            "resume=auto",
            f"hydra.run.dir={tmp_path}/run",
        ),
        "+callbacks.budget._target_=p2o_callbacks.RolloutBudget",
        "+callbacks.budget.max_rollouts=90",
    )
    found = []
    for start in range(3):
        done = p2o_train(*settings)
        assert done.returncode == 0, done.stderr
        assert ("had finished before" in done.stdout) == (start > 0)
        summary = json.loads((tmp_path / "run" / "summary.json").read_text())
        found.append((summary["training_rollouts"], summary["accuracy"]))
    assert found[0] == found[1] == found[2]


@pytest.mark.slow
def test_other_training_answers_are_taken_only_when_told(p2o_train, tmp_path):
    """The settings are the same: the file has changed below them."""
    file = tmp_path / "rows.jsonl"
    rows = [{"q": f"Add {n} 4.", "a": str(n % 6 + 4)} for n in range(24)]

    def write(changed: list[dict[str, str]]) -> list[str]:
        file.write_text("\n".join(map(json.dumps, changed)))
        source = TableSource(str(file), question="q", answer="a", train=16, held_out=4)
        return [prompt.id for prompt in source.load(0).held_out]

    run = (
        *("data=svamp", f"data.source.path={file}", "data.source.question=q"),
        *("data.source.answer=a", "data.source.train=16", "data.source.held_out=4"),
        *("data.batch=8", "data.mini_batch=8", "data.group_size=2", "data.max_prompt_tokens=100"),
        *("resume=auto", f"hydra.run.dir={tmp_path}/run"),
        # It has a hard set, in which the problem with the other answer is no more.
        "evolution=single_turn_reflection",
    )
    held_out = write(rows)
    assert p2o_train(*run, "trainer.max_epochs=1").returncode == 0
    # With another answer a problem is another one, which may be drawn for the held-out set.
    others = ([*rows[:n], {**rows[n], "a": "77"}, *rows[n + 1 :]] for n in range(len(rows)))
    next(changed for changed in others if write(changed) == held_out)
    refused = p2o_train(*run, "trainer.max_epochs=2")
    assert refused.returncode == 2
    assert "made with other training prompts or answers; give those" in refused.stderr
    # What was measured before is of the held-out problems that there were.
    more = "resume_changed=true", "data.source.train=15", "data.source.held_out=5"
    refused = p2o_train(*run, "trainer.max_epochs=2", *more)
    assert refused.returncode == 2
    assert "on other held-out prompts: 0 of them are not in this data, and 1 are" in refused.stderr
    taken = p2o_train(*run, "trainer.max_epochs=2", "resume_changed=true")
    assert taken.returncode == 0, taken.stderr
    assert "going on with these" in taken.stdout
