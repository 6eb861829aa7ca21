"""Two CPU ranks over gloo do what one does, with whole policies and with shards."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from transformers import AutoModelForCausalLM

from p2o.records import read

SMALL = (
    "data.source.train=24",
    "data.source.held_out=8",
    "data.batch=8",
    "data.mini_batch=4",
    # AdamW makes steps of equal size of gradients that are nothing but rounding.
    "model.dtype=float64",
)
SEARCH = (
    "evolution.evolver.budget=120",
    "evolution.evolver.dev_size=6",
    "evolution.evolver.minimum=4",
)
TWO = ("trainer.accelerator=cpu", "trainer.devices=2")

pytestmark = [pytest.mark.slow, pytest.mark.multirank]


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """Run once for each set of settings; returns the final checkpoint and the summary."""
    runs = {}

    def trained(p2o_train, name, *more, stops=(2,)):
        folder = tmp_path_factory.getbasetemp() / f"ranks_{name}"
        for epochs in stops if name not in runs else ():
            last = f"trainer.max_epochs={epochs}"
            where = f"hydra.run.dir={folder}"
            result = p2o_train(*SMALL, *SEARCH, *more, last, "resume=auto", where)
            assert result.returncode == 0, result.stderr
        runs[name] = folder
        final = torch.load(folder / "checkpoints" / "epoch_0001.ckpt", weights_only=True)
        return folder, final, json.loads((folder / "summary.json").read_text())

    return trained


def rollouts(folder: Path) -> list[tuple]:
    """Those on record, in their order."""
    columns = ("phase", "epoch", "step", "group", "index", "hint", "response", "solved")
    return list(read(folder).rows("rollouts", columns))


NORMS = """
import torch
from lightning.pytorch import Callback
from transformers.models.llama.modeling_llama import LlamaRMSNorm

def norm(self, hidden):
    squares = hidden.square().mean(-1, keepdim=True)
    return self.weight * hidden * torch.rsqrt(squares + self.variance_epsilon)

class WideNorms(Callback):
    def setup(self, trainer, pl_module, stage):
        LlamaRMSNorm.forward = norm
"""
"""Lets norms work in float64. Those of transformers work in float32 whatever the weights are: that
rounds gradients of a prompt that rollouts share otherwise when another rank has some of them."""
LORA = ("model/adapter=lora", "optimizer.lr=1e-3")


@pytest.mark.parametrize(
    ("strategy", "alone", "together"),
    [
        # Micro-batches of one rank that take several passes, and not as many on the other one
        ("ddp", (), ("module.pass_tokens=64",)),
        ("fsdp2", (), ("module.pass_tokens=64",)),
        ("fsdp", (), ()),
        ("fsdp2", LORA, (*LORA, "model.gradient_checkpointing=true")),
    ],
    ids=["ddp", "fsdp2", "fsdp", "fsdp2 lora checkpointed"],
)
def test_two_ranks_give_the_pool_ledger_and_weights_of_one(
    p2o_train, trained, tmp_path, strategy, alone, together
):
    (tmp_path / "wide_norms.py").write_text(NORMS)
    norms = "+callbacks.norms._target_=wide_norms.WideNorms"
    alone_in, one, summary = trained(p2o_train, f"one{len(alone)}", *alone, norms)
    name = f"{strategy}{len(together)}"
    settings = f"trainer={strategy}", *TWO, *together, norms
    # With shards stopped after an epoch, and started again.
    stops = (2,) if strategy == "ddp" else (1, 2)
    folder, two, other = trained(p2o_train, name, *settings, stops=stops)
    for name, value in one["state_dict"].items():
        torch.testing.assert_close(two["state_dict"][name], value, atol=1e-9, rtol=1e-9)
    for key, state in one["callbacks"].items():
        if key.startswith(("HardSampleMiner", "PromptEvolution")):
            assert two["callbacks"][key] == state
    for phase, counts in summary["ledger"].items():
        for counter in ("rollouts", "generated_tokens", "metric_calls", "reflection_calls"):
            assert other["ledger"][phase][counter] == counts[counter], (phase, counter)
    assert rollouts(folder) == rollouts(alone_in)
    saved = AutoModelForCausalLM.from_pretrained(folder / "policy").state_dict()
    for name, value in saved.items() if not alone else ():
        assert torch.equal(value, two["state_dict"][f"policy.model.{name}"]), name


KILL = """
import os
import signal
from pathlib import Path
from lightning.pytorch import Callback

class Kill(Callback):
    def on_train_batch_end(self, trainer, pl_module, outputs, batch, batch_idx):
        if (trainer.current_epoch, batch_idx) == (1, 4) and not Path("killed").exists():
            if trainer.is_global_zero:
                Path("killed").touch()
                os.kill(os.getpid(), signal.SIGKILL)
"""


def test_records_of_two_ranks_that_were_killed_have_no_row_twice_and_none_missing(
    p2o_train, trained, tmp_path
):
    (tmp_path / "wide_norms.py").write_text(NORMS)
    (tmp_path / "kill.py").write_text(KILL)
    norms = "+callbacks.norms._target_=wide_norms.WideNorms"
    alone, _, _ = trained(p2o_train, "one0", norms)
    run = tmp_path / "run"
    # Between the checkpoints of epochs, so that some rows are ahead of the last one.
    saved = "callbacks.recent.train_time_interval=null", "+callbacks.recent.every_n_train_steps=3"
    settings = (
        *(*SMALL, *SEARCH, *TWO, "trainer=ddp", "trainer.max_epochs=2", norms, *saved),
        *("+callbacks.kill._target_=kill.Kill", "resume=auto", f"hydra.run.dir={run}"),
    )
    assert p2o_train(*settings).returncode != 0
    assert (tmp_path / "killed").exists()
    again = p2o_train(*settings)
    assert again.returncode == 0, again.stderr
    assert rollouts(run) == rollouts(alone)


SHARES = """
import json
from lightning.pytorch import Callback

def held_and_whole(tensors):
    local = [getattr(tensor, "_local_tensor", tensor).numel() for tensor in tensors]
    return sum(local), sum(tensor.numel() for tensor in tensors)

class Report(Callback):
    def on_train_end(self, trainer, pl_module):
        states = trainer.optimizers[0].state.values()
        moments = [value for state in states for value in state.values() if value.ndim]
        shares = {
            "parameters": held_and_whole(list(pl_module.parameters())),
            "state": held_and_whole(moments),
        }
        with open(f"shares_{trainer.global_rank}.json", "w") as file:
            json.dump(shares, file)
"""


def test_with_shards_a_rank_holds_half_of_parameters_and_optimiser_state(p2o_train, tmp_path):
    (tmp_path / "shares.py").write_text(SHARES)
    report = "+callbacks.report._target_=shares.Report"
    result = p2o_train(
        *SMALL,
        "trainer.max_epochs=2",
        "evolution=none",
        "trainer=fsdp2",
        *TWO,
        report,
        f"hydra.run.dir={tmp_path}/run",
    )
    assert result.returncode == 0, result.stderr
    for rank in (0, 1):
        shares = json.loads((tmp_path / f"shares_{rank}.json").read_text())
        for held, whole in shares.values():
            assert 0.45 * whole < held < 0.55 * whole


PRECISION = """
import json
from lightning.pytorch import Callback

class Report(Callback):
    def on_fit_start(self, trainer, pl_module):
        self.seen = set()
        layer = pl_module.policy.model.get_decoder().layers[0].self_attn.q_proj
        layer.register_forward_hook(lambda part, given, made: self.seen.add(str(made.dtype)))

    def on_train_end(self, trainer, pl_module):
        kept = {str(p.dtype) for p in pl_module.parameters()}
        state = {str(s["exp_avg"].dtype) for s in trainer.optimizers[0].state.values()}
        with open(f"types_{trainer.global_rank}.json", "w") as file:
            json.dump([sorted(self.seen), sorted(kept), sorted(state)], file)
"""


def test_shards_stay_in_float32_while_layers_work_in_bfloat16(p2o_train_anew, tmp_path):
    (tmp_path / "types_of_numbers.py").write_text(PRECISION)
    # Kernels for bfloat16 choose their code by the processor when they are first used.
    result = p2o_train_anew(
        *SMALL[:-1],
        "trainer.max_epochs=2",
        "evolution=none",
        "trainer=fsdp2",
        "trainer.strategy.compute_dtype=bfloat16",
        *TWO,
        "+callbacks.report._target_=types_of_numbers.Report",
        f"hydra.run.dir={tmp_path}/run",
    )
    assert result.returncode == 0, result.stderr
    for rank in (0, 1):
        types = json.loads((tmp_path / f"types_{rank}.json").read_text())
        assert types == [["torch.bfloat16"], ["torch.float32"], ["torch.float32"]]


METRICS = """
import json
import os
import sys

from lightning.pytorch import Trainer
from torch.optim import SGD
from torch.utils.data import DataLoader

from p2o.policy.models import load_policy
from p2o.learning.module import P2OModule
from p2o.objectives import ClippedLoss
from tests.learning.test_module import Logged, made, together

ranks, rank = int(sys.argv[1]), int(os.environ.get("LOCAL_RANK", 0))
samples = [
    # One of them was sampled in another context than the one that is trained.
    sample if index == 3 else sample.with_streams(sampled_log_probs=-5.2 - 0.3 * index)
    for index, sample in enumerate(made(7))
]
names = sorted({name for sample in samples for name in sample.streams})
tokens = sum(sample.learned for sample in samples)
# The last part has nothing to learn and only keeps in step.
parts = [samples[:1], samples[1:4], samples[4:], []]
batches = [together(part, tokens, len(samples), names=names) for part in parts]
module = P2OModule(load_policy("embedded:digits")[0], ClippedLoss(), lambda p: SGD(p, lr=0.1))
logged = Logged()
trainer = Trainer(
    accelerator="cpu",
    devices=ranks,
    strategy="ddp" if ranks > 1 else "auto",
    max_epochs=1,
    accumulate_grad_batches=4 // ranks,
    callbacks=[logged],
    logger=False,
    enable_checkpointing=False,
    enable_progress_bar=False,
    enable_model_summary=False,
    use_distributed_sampler=False,
)
trainer.fit(module, DataLoader(batches[rank::ranks], batch_size=None, collate_fn=lambda b: b))
if rank == 0:
    print("LOGGED", json.dumps(logged.steps))
"""


def test_metrics_of_a_step_are_over_the_tokens_of_all_ranks(tmp_path):
    """Means and maxima, what the engine said among them."""
    script = tmp_path / "metrics.py"
    script.write_text(METRICS)
    root = Path(__file__).parents[2]
    steps = []
    for ranks in (1, 2):
        result = subprocess.run(
            [sys.executable, script, str(ranks)],
            env={**os.environ, "PYTHONPATH": f"{root}:{root / 'callbacks'}"},
            capture_output=True,
            text=True,
            timeout=300,
        )
        assert result.returncode == 0, result.stderr[-3000:]
        [line] = [line for line in result.stdout.splitlines() if line.startswith("LOGGED")]
        [step] = json.loads(line.removeprefix("LOGGED "))
        steps.append(step)
    alone, together = steps
    assert {"engine_kl", "engine_ratio_max", "entropy", "approx_kl", "loss"} <= alone.keys()
    assert alone["engine_kl"] > 0
    assert together == pytest.approx(alone, rel=1e-4)


def test_flat_shards_are_clipped_by_value_as_whole_weights_are(p2o_train, tmp_path):
    clipped = "trainer.gradient_clip_val=1e-4", "+trainer.gradient_clip_algorithm=value"
    # A rate that shows gradients as they are
    settings = *SMALL, *clipped, "optimizer._target_=torch.optim.SGD", "optimizer.lr=1.0"
    weights = []
    for name, strategy in (("whole", "cpu"), ("shards", "fsdp")):
        place = "trainer.accelerator=cpu", "trainer.devices=1", f"hydra.run.dir={tmp_path}/{name}"
        given = f"trainer={strategy}", "evolution=none", "trainer.max_epochs=1", "~optimizer.betas"
        result = p2o_train(*settings, *given, *place)
        assert result.returncode == 0, result.stderr
        final = torch.load(tmp_path / name / "checkpoints" / "epoch_0000.ckpt", weights_only=True)
        weights.append(final["state_dict"])
    for name, value in weights[0].items():
        torch.testing.assert_close(weights[1][name], value, atol=1e-9, rtol=1e-9)
