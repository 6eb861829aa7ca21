"""Records in Weights & Biases, read back from what an offline run has written."""

import json
from types import SimpleNamespace
from typing import Any

import wandb
from lightning.pytorch.loggers import WandbLogger

from p2o.learning.recording import RunRecorder
from p2o.learning.wandb_records import WandbRecords
from p2o.records import hint_id
from p2o_callbacks import PromptEvolution, PromptPool, Template

HINT = "Add digit by digit."


def test_rollouts_and_hints_are_tables_and_the_pool_an_artifact(tmp_path, monkeypatch):
    monkeypatch.setenv("WANDB_SILENT", "true")
    logger = WandbLogger(save_dir=str(tmp_path), offline=True, project="p2o")
    evolver: Any = None
    evolution = PromptEvolution(evolver)
    trainer: Any = SimpleNamespace(
        loggers=[logger],
        callbacks=[evolution],
        is_global_zero=True,
        current_epoch=1,
        fit_loop=SimpleNamespace(epoch_loop=SimpleNamespace(_batches_that_stepped=4)),
    )
    recorder, module = RunRecorder(tmp_path), trainer
    sent = WandbRecords(recorder)
    sent.setup(trainer, module, "fit")
    rows = [
        {"phase": "training", "epoch": epoch, "hint": hint_id(HINT), "response": f"of {epoch}"}
        for epoch in (0, 1)
    ]
    recorder.records.add("rollouts", rows)
    recorder.records.add("hints", [{"hint": hint_id(HINT), "text": HINT, "kind": "instruction"}])
    recorder.records.settle()
    evolution.pool = PromptPool((Template(HINT),), (0,))
    evolution._tell(1, None)
    sent.on_train_epoch_end(trainer, module)
    wandb.finish()

    tables = {}
    for path in tmp_path.glob("wandb/offline-run-*/files/media/table/records/*.json"):
        table = json.loads(path.read_text())
        tables[path.name.partition("_")[0]] = [
            dict(zip(table["columns"], row, strict=True)) for row in table["data"]
        ]
    assert [row["response"] for row in tables["rollouts"]] == ["of 1"]
    assert [row["text"] for row in tables["hints"]] == [HINT]
    [record] = tmp_path.glob("wandb/offline-run-*/run-*.wandb")
    content = record.read_bytes()
    assert b"pool.json" in content
    assert b"records/rollouts" in content
