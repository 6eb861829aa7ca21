"""The command line when a guard stops a run: status 3, one line, and everything kept."""

import json

import pytest
import torch

pytestmark = pytest.mark.slow

SMALL = (
    "data.source.train=16",
    "data.source.held_out=8",
    "data.batch=8",
    "data.mini_batch=4",
    "evolution=none",
    "trainer.max_epochs=2",
)


def last(folder):
    return torch.load(folder / "checkpoints" / "last.ckpt", weights_only=True)


def test_a_run_that_collapses_can_go_on_from_where_it_was_stopped(p2o_train, tmp_path):
    whole, stopped, resumed = (tmp_path / name for name in ("whole", "stopped", "resumed"))
    assert p2o_train(*SMALL, f"hydra.run.dir={whole}").returncode == 0
    guard = "callbacks.entropy_floor.minimum=100"
    result = p2o_train(*SMALL, guard, f"hydra.run.dir={stopped}")
    assert result.returncode == 3
    message = "training has collapsed after update 3: train/entropy is "
    assert result.stderr.strip().splitlines()[-1].startswith(f"error: {message}")
    assert "Traceback" not in result.stderr
    assert json.loads((stopped / "summary.json").read_text())["collapse"].startswith(message)
    assert "collapse/train_entropy" in (stopped / "metrics.csv").read_text()
    assert not (stopped / "policy").exists()
    result = p2o_train(
        *SMALL, f"ckpt_path={stopped}/checkpoints/last.ckpt", f"hydra.run.dir={resumed}"
    )
    assert result.returncode == 0, result.stderr
    for name, value in last(whole)["state_dict"].items():
        assert torch.equal(last(resumed)["state_dict"][name], value), name


BREAKS = """
from p2o.objectives import ClippedLoss

class BreaksAtTheSecondUpdateOfUse(ClippedLoss):
    used = 0

    def token_losses(self, log_probs, log_ratio, advantages, sequences):
        losses, metrics = super().token_losses(log_probs, log_ratio, advantages, sequences)
        self.used += bool(advantages.any())
        return (losses * float("nan") if self.used == 2 else losses), metrics
"""


def test_an_update_that_is_not_finite_is_not_made_and_can_be_made_again(p2o_train, tmp_path):
    whole, stopped, resumed = (tmp_path / name for name in ("whole", "stopped", "resumed"))
    assert p2o_train(*SMALL, f"hydra.run.dir={whole}").returncode == 0
    (tmp_path / "breaks.py").write_text(BREAKS)
    loss = "algorithm.loss._target_=breaks.BreaksAtTheSecondUpdateOfUse"
    result = p2o_train(*SMALL, loss, f"hydra.run.dir={stopped}")
    assert result.returncode == 3, result.stderr
    update = last(stopped)["global_step"]
    message = f"after update {update}: a loss that is not finite; the weights are those before it"
    assert message in result.stderr
    assert 0 < update < last(whole)["global_step"]
    assert all(value.isfinite().all() for value in last(stopped)["state_dict"].values())
    # The loss is another one.
    resume = ("resume_changed=true", f"ckpt_path={stopped}/checkpoints/last.ckpt")
    result = p2o_train(*SMALL, *resume, f"hydra.run.dir={resumed}")
    assert result.returncode == 0, result.stderr
    for name, value in last(whole)["state_dict"].items():
        assert torch.equal(last(resumed)["state_dict"][name], value), name


def test_the_other_runs_of_a_sweep_go_on(p2o_train, tmp_path):
    result = p2o_train("-m", *SMALL, "optimizer.lr=1.0,1e-3", f"hydra.sweep.dir={tmp_path}")
    assert result.returncode == 0, result.stderr
    summaries = [json.loads(path.read_text()) for path in tmp_path.glob("*/summary.json")]
    collapsed = {s["config"]["optimizer"]["lr"]: s["collapse"] is not None for s in summaries}
    assert collapsed == {1.0: True, 1e-3: False}


def test_a_ceiling_on_a_divergence_nobody_measures_is_refused_at_once(p2o_train):
    result = p2o_train(*SMALL, "callbacks.kl_ceiling.maximum=1")
    assert result.returncode == 2
    assert "callbacks.kl_ceiling.maximum=1 needs a policy" in result.stderr
    assert "reference=initial" in result.stderr
