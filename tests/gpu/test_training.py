"""The joint loop on GPUs, in every way of sharing the policy out and in bfloat16."""

import json

import pytest
import torch

pytestmark = pytest.mark.gpu

BFLOAT16 = "trainer.strategy.compute_dtype=bfloat16"


@pytest.mark.parametrize(
    "settings",
    [
        ("trainer=gpu", "trainer.precision=32-true"),
        ("trainer=gpu",),
        ("trainer=gpu", "model.gradient_checkpointing=true", "module.compile_backend=inductor"),
        ("trainer=ddp", "+trainer.precision=bf16-mixed"),
        ("trainer=fsdp2",),
        ("trainer=fsdp2", BFLOAT16),
        ("trainer=fsdp",),
        ("trainer=fsdp", BFLOAT16),
    ],
    ids=" ".join,
)
def test_the_demo_reaches_what_it_does_on_a_cpu(p2o_train_anew, tmp_path, settings):
    result = p2o_train_anew(*settings, f"hydra.run.dir={tmp_path}/run")
    assert result.returncode == 0, result.stderr[-3000:]
    summary = json.loads((tmp_path / "run" / "summary.json").read_text())
    assert summary["accuracy"]["before"] < 0.35
    assert summary["accuracy"]["after"] > 0.9


@pytest.mark.parametrize("trainer", ["fsdp2", "fsdp"])
def test_a_run_in_shards_goes_on_where_it_stopped(p2o_train_anew, tmp_path, trainer):
    weights = []
    for stops in ((2,), (1, 2)):
        folder = tmp_path / f"run_{len(stops)}"
        for epochs in stops:
            result = p2o_train_anew(
                *("model.dtype=float64", "evolution=none", f"trainer={trainer}"),
                *(f"trainer.max_epochs={epochs}", "resume=auto", f"hydra.run.dir={folder}"),
                timeout=600,
            )
            assert result.returncode == 0, result.stderr[-3000:]
        final = folder / "checkpoints" / "epoch_0001.ckpt"
        weights.append(torch.load(final, weights_only=True)["state_dict"])
    for name, value in weights[0].items():
        torch.testing.assert_close(weights[1][name], value, atol=1e-9, rtol=1e-9)
