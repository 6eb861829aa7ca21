"""Two CPU ranks over gloo do what one does."""

import json

import pytest
import torch

SMALL = (
    "data.source.train=24",
    "data.source.held_out=8",
    "data.batch=8",
    "data.mini_batch=4",
    "evolution.evolver.budget=120",
    "evolution.evolver.dev_size=6",
    "evolution.evolver.minimum=4",
    "trainer.max_epochs=2",
)


@pytest.mark.slow
@pytest.mark.multirank
def test_two_ranks_give_the_pool_ledger_and_weights_of_one(p2o_train, tmp_path):
    checkpoints, summaries = [], []
    for name, more in (("one", []), ("two", ["trainer.devices=2", "+trainer.strategy=ddp"])):
        folder = tmp_path / name
        result = p2o_train(*SMALL, *more, f"hydra.run.dir={folder}")
        assert result.returncode == 0, result.stderr
        checkpoints.append(
            torch.load(folder / "checkpoints" / "epoch_0001.ckpt", weights_only=True)
        )
        summaries.append(json.loads((folder / "summary.json").read_text()))
    one, two = checkpoints
    for name, value in one["state_dict"].items():
        torch.testing.assert_close(two["state_dict"][name], value, atol=1e-4, rtol=1e-4)
    for key, state in one["callbacks"].items():
        if key.startswith(("HardSampleMiner", "PromptEvolution")):
            assert two["callbacks"][key] == state
    for phase, counts in summaries[0]["ledger"].items():
        for counter in ("rollouts", "generated_tokens", "metric_calls", "reflection_calls"):
            assert summaries[1]["ledger"][phase][counter] == counts[counter], (phase, counter)
