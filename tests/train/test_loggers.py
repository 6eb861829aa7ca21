"""What a run writes down: metrics for every logger, and a summary that adds up."""

import base64
import csv
import hashlib
import json
import os
import struct
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NoReturn

import pytest
from omegaconf import OmegaConf
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from wandb.proto import wandb_internal_pb2

from p2o.configuration.build import conf_directory
from tests.patience import HANGS

TRAIN, GROUP, EPOCHS, HELD_OUT = 16, 4, 2, 8

pytestmark = pytest.mark.slow

SMALL = (
    f"data.source.train={TRAIN}",
    f"data.source.held_out={HELD_OUT}",
    f"data.group_size={GROUP}",
    "data.batch=8",
    "data.mini_batch=4",
    "evolution.evolver.budget=60",
    "evolution.evolver.dev_size=4",
    "evolution.evolver.minimum=4",
    f"trainer.max_epochs={EPOCHS}",
    "hydra.run.dir=run",
)
TENSORBOARD = (
    "+logger.tensorboard._target_=lightning.pytorch.loggers.TensorBoardLogger",
    "+logger.tensorboard.save_dir=${hydra:runtime.output_dir}",
    "+logger.tensorboard.name=tensorboard",
    "+logger.tensorboard.version=''",
)
MLFLOW = (
    "+logger.mlflow._target_=lightning.pytorch.loggers.MLFlowLogger",
    "+logger.mlflow.experiment_name=p2o",
    "+logger.mlflow.tracking_uri=${oc.env:MLFLOW_TRACKING_URI,sqlite:///mlflow.db}",
)
"""What other options add to ``logger=csv``; ``logger=wandb`` adds wandb itself."""
SECRET = "written-in-clear"


@pytest.fixture(scope="module")
def run(tmp_path_factory) -> Path:
    """The directory of one run with all loggers."""
    folder = tmp_path_factory.mktemp("loggers")
    # Without a server and a database.
    store = {"MLFLOW_TRACKING_URI": f"file:{folder}/mlruns", "MLFLOW_ALLOW_FILE_STORE": "true"}
    result = subprocess.run(
        [sys.executable, "-m", "p2o.cli.train", *SMALL, "logger=wandb", *TENSORBOARD, *MLFLOW]
        + [f"+renderer.options.api_key={SECRET}"],
        cwd=folder,
        env={k: v for k, v in os.environ.items() if k != "WANDB_MODE"}
        | {"OMP_NUM_THREADS": "1", "WANDB_DATA_DIR": str(folder)}
        | store,
        capture_output=True,
        text=True,
        timeout=HANGS,
    )
    assert result.returncode == 0, result.stderr
    return folder / "run"


@pytest.fixture(scope="module")
def rows(run) -> list[dict[str, str]]:
    with (run / "metrics.csv").open() as file:
        return list(csv.DictReader(file))


@pytest.fixture(scope="module")
def summary(run) -> dict[str, Any]:
    def refuse(constant: str) -> NoReturn:
        raise AssertionError(f"{constant} is not JSON")

    return json.loads((run / "summary.json").read_text(), parse_constant=refuse)


@pytest.fixture(scope="module")
def mlflow_run(run) -> tuple[Any, Any]:
    """MLflow's client, and the one run that it knows of."""
    from mlflow.tracking import MlflowClient

    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MLFLOW_ALLOW_FILE_STORE", "true")
        client = MlflowClient(f"file:{run.parent}/mlruns")
    experiment: Any = client.get_experiment_by_name("p2o")
    [found] = client.search_runs([experiment.experiment_id])
    return client, found


def column(rows: list[dict[str, str]], name: str) -> list[float]:
    return [float(row[name]) for row in rows if row[name]]


def test_the_table_of_metrics_has_a_value_for_every_update_batch_and_epoch(rows):
    # Steps without any gradient are no updates.
    updates = column(rows, "val/updates")[-1]
    assert 0 < updates <= EPOCHS * TRAIN // 4
    batches = EPOCHS * TRAIN // 8
    update = ("train/grad_norm", "train/loss", "train/entropy")
    rollouts = ("reward/mean", "groups/dead", "response/tokens", "verifier/failed")
    for name in update:
        assert len(column(rows, name)) == updates, name
    for name in rollouts:
        assert len(column(rows, name)) == batches, name
    for name in ("hard/size", "hard/entered", "hard/solved", "hard/relapsed", "hard/dead_groups"):
        assert len(column(rows, name)) == EPOCHS, name
    assert len(column(rows, "val/accuracy")) == EPOCHS + 1
    assert len(column(rows, "evolution/metric_calls")) == EPOCHS - 1


def test_logged_shares_are_shares_and_some_gradient_flowed(rows):
    for name in ("reward/mean", "groups/dead", "val/accuracy", "hard/dead_groups"):
        assert all(0 <= value <= 1 for value in column(rows, name)), name
    assert any(norm > 0 for norm in column(rows, "train/grad_norm"))


def test_the_summary_tells_the_accuracy_before_and_after(rows, summary):
    logged = column(rows, "val/accuracy")
    assert summary["accuracy"] == pytest.approx({"before": logged[0], "after": logged[-1]})
    assert summary["held_out"] == HELD_OUT
    assert summary["hard_set"] == column(rows, "hard/size")[-1]


def test_the_rollouts_in_the_ledger_add_up(rows, summary):
    ledger = summary["ledger"]
    assert ledger["train"]["rollouts"] == TRAIN * GROUP * EPOCHS
    assert ledger["evaluation"]["rollouts"] == HELD_OUT * (EPOCHS + 1)
    assert ledger["scoring"]["rollouts"] == 0
    assert ledger["evolution"]["rollouts"] == ledger["evolution"]["metric_calls"] > 0
    assert ledger["evolution"]["metric_calls"] == sum(column(rows, "evolution/metric_calls"))
    assert ledger["evolution"]["spared_calls"] == sum(column(rows, "evolution/spared")) > 0
    spent = sum(ledger[phase]["rollouts"] for phase in ("train", "scoring", "evolution"))
    assert summary["training_rollouts"] == spent
    assert column(rows, "ledger/rollouts")[-1] == spent


def test_the_summary_has_the_configuration_that_was_run(run, summary):
    assert summary["config"]["data"]["group_size"] == GROUP
    assert summary["config"]["logger"]["csv"]["save_dir"] == str(run)


def test_wandb_stays_offline_and_gets_the_metrics(run):
    [record] = run.glob("wandb/offline-run-*/run-*.wandb")
    content = record.read_bytes()
    for name in (b"reward/mean", b"val/accuracy", b"evolution/cover"):
        assert name in content


@pytest.fixture(scope="module")
def offline(run) -> list[Any]:
    """The records of the file that wandb writes offline."""
    [file] = run.glob("wandb/offline-run-*/run-*.wandb")
    made: Any = wandb_internal_pb2
    return [made.Record.FromString(content) for content in logged_records(file.read_bytes())]


BLOCK, HEADER, BEGINNING = 32768, 7, 7
FULL, FIRST, MIDDLE, LAST = 1, 2, 3, 4


def logged_records(content: bytes) -> Iterator[bytes]:
    """Records of a file in LevelDB's log format, behind a beginning of wandb's own."""
    assert content[:4] == b":W&B"
    place, parts = BEGINNING, []
    while place + HEADER <= len(content):
        # What is left of a block that no header fits into is empty.
        if BLOCK - place % BLOCK < HEADER:
            place += BLOCK - place % BLOCK
            continue
        length, kind = struct.unpack("<HB", content[place + 4 : place + HEADER])
        parts.append(content[place + HEADER : place + HEADER + length])
        place += HEADER + length
        if kind in (FULL, LAST):
            yield b"".join(parts)
            parts = []


def history(offline: list[Any]) -> dict[str, list[Any]]:
    """Values by name."""
    found: dict[str, list[Any]] = {}
    for record in offline:
        for item in record.history.item:
            name = item.key or "/".join(item.nested_key)
            found.setdefault(name, []).append(json.loads(item.value_json))
    return found


def wandb_table(run: Path, offline: list[Any], name: str) -> tuple[list[str], list[list[Any]]]:
    """Columns and rows of a table that was logged once."""
    logged = history(offline)
    assert logged[f"{name}/_type"] == ["table-file"]
    [path] = logged[f"{name}/path"]
    [file] = run.glob(f"wandb/offline-run-*/files/{path}")
    content = json.loads(file.read_text())
    return content["columns"], content["data"]


def test_wandb_gets_the_metrics_of_the_table(rows, offline):
    logged = history(offline)
    for name in ("reward/mean", "val/accuracy", "hard/size", "seconds/step"):
        assert logged[name] == pytest.approx(column(rows, name)), name


def test_wandb_gets_a_table_of_rollouts_and_one_of_hints(run, summary, offline):
    columns, rollouts = wandb_table(run, offline, "records/rollouts")
    paid = sum(counts["rollouts"] for counts in summary["ledger"].values())
    assert len(rollouts) == paid
    assert {row[columns.index("phase")] for row in rollouts} == {
        "training",
        "evolution",
        "held_out",
    }
    columns, hints = wandb_table(run, offline, "records/hints")
    found = {row[columns.index("text")] for row in hints if row[columns.index("accepted")]}
    assert {template["text"] for template in summary["templates"]} <= found


def test_wandb_gets_the_pool_as_an_artifact(run, offline):
    [artifact] = [each.artifact for each in offline if each.artifact.name.startswith("pool-")]
    assert artifact.type == "pool"
    [entry] = artifact.manifest.contents
    assert entry.path == "pool.json"
    content = (run / "evolution" / "pool.json").read_bytes()
    assert entry.digest == base64.b64encode(hashlib.md5(content).digest()).decode()


def test_a_run_that_is_no_job_of_a_sweep_has_no_group(offline):
    [started] = [each.run for each in offline if each.run.run_id]
    assert started.run_group == ""


def test_every_step_has_its_seconds_and_every_update_its_tokens_a_second(rows):
    steps = EPOCHS * TRAIN // 4
    whole = column(rows, "seconds/step")
    assert len(whole) == steps
    phases = ("rollouts", "scoring", "update", "search", "evaluation")
    by_phase = zip(*(column(rows, f"seconds/{name}") for name in phases), strict=True)
    for step, parts in zip(whole, by_phase, strict=True):
        assert sum(parts) == pytest.approx(step, rel=0.05, abs=0.05)
    assert len(column(rows, "throughput/trained_tokens")) == column(rows, "val/updates")[-1]
    # Two optimiser steps are made of what is rolled out together.
    assert len(column(rows, "throughput/sampled_tokens")) == steps // 2
    assert sum(seconds > 0 for seconds in column(rows, "seconds/search")) == EPOCHS - 1


def test_tensorboard_gets_the_metrics_of_the_table(run, rows):
    events = EventAccumulator(str(run / "tensorboard"))
    events.Reload()
    for name in ("reward/mean", "val/accuracy", "hard/size", "evolution/cover"):
        values = [event.value for event in events.Scalars(name)]
        assert values == pytest.approx(column(rows, name)), name


def test_mlflow_gets_the_metrics_of_the_table(run, rows, mlflow_run):
    client, found = mlflow_run
    for name in ("reward/mean", "val/accuracy", "hard/size", "evolution/cover"):
        values = [each.value for each in client.get_metric_history(found.info.run_id, name)]
        assert values == pytest.approx(column(rows, name)), name


def test_each_logger_has_the_configuration_without_keys(run, mlflow_run):
    _, found = mlflow_run
    assert found.data.params["data/group_size"] == str(GROUP)
    assert found.data.params["renderer/options/api_key"] == "***"
    boards = (run / "tensorboard").glob("events.out.*")
    assert any(b"data/group_size" in board.read_bytes() for board in boards)
    [record] = run.glob("wandb/offline-run-*/run-*.wandb")
    assert b"group_size" in record.read_bytes()
    written = [path for path in run.parent.rglob("*") if path.is_file()]
    assert not [path for path in written if SECRET.encode() in path.read_bytes()]


def test_the_mlflow_option_is_what_this_run_added():
    option: Any = OmegaConf.load(conf_directory() / "logger" / "mlflow.yaml")
    parts = [part.removeprefix("+logger.mlflow.").partition("=") for part in MLFLOW]
    added = {name: value for name, _, value in parts}
    assert OmegaConf.to_container(option.mlflow, resolve=False) == added


def test_the_tensorboard_option_is_what_this_run_added():
    option: Any = OmegaConf.load(conf_directory() / "logger" / "tensorboard.yaml")
    parts = [part.removeprefix("+logger.tensorboard.").partition("=") for part in TENSORBOARD]
    added = {name: value for name, _, value in parts}
    stated = OmegaConf.to_container(option.tensorboard, resolve=False)
    assert stated == added | {"version": ""}
