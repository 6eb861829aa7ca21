"""Any checkpoint of a run becomes a Hugging Face folder with its weights and what is known of it.

Started as a program, this file writes checkpoints in shards, for the tests to export.
"""

import json
import os
import pickle
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
import torch
import yaml
from hydra.core.hydra_config import HydraConfig
from lightning.pytorch import LightningModule, Trainer
from lightning.pytorch.strategies import ModelParallelStrategy
from omegaconf import OmegaConf
from torch import distributed
from torch.distributed.checkpoint.filesystem import FileSystemReader
from torch.distributed.checkpoint.state_dict import StateDictOptions, get_model_state_dict
from torch.distributed.checkpoint.state_dict_saver import save
from torch.distributed.fsdp import FullyShardedDataParallel, StateDictType, fully_shard
from torch.utils.data import DataLoader, TensorDataset
from transformers import AutoModelForCausalLM, AutoTokenizer

from p2o.cli.export import export, main
from p2o.policy.adapters import save_policy
from p2o.policy.causal import CausalPolicy
from p2o.policy.models import load_policy
from p2o.rollout.rendering import ChatRenderer
from tests.patience import HANGS

pytestmark = pytest.mark.slow

SMALL = (
    "data.source.train=16",
    "data.source.held_out=8",
    "data.batch=8",
    "data.mini_batch=8",
    "evolution=none",
    "optimizer.lr=1e-3",
    "trainer.max_epochs=2",
)
PREFIX = "policy.model."


def command(module, *arguments, cwd, **environment):
    return subprocess.run(
        [sys.executable, "-m", module, *map(str, arguments)],
        cwd=cwd,
        env={**os.environ, "OMP_NUM_THREADS": "1", **environment},
        capture_output=True,
        text=True,
        timeout=HANGS,
    )


@pytest.fixture(scope="module")
def made(forks, tmp_path_factory):
    """A run, which no test changes."""
    folder = tmp_path_factory.mktemp("made")
    done = forks.run("p2o.cli.train", [*SMALL, f"hydra.run.dir={folder}/run"], folder)
    assert done.returncode == 0, done.stderr
    return folder / "run"


@pytest.fixture
def run(made, tmp_path):
    """A copy of the run."""
    return Path(shutil.copytree(made, tmp_path / "run", symlinks=True))


def in_checkpoint(path):
    state = torch.load(path, weights_only=True)["state_dict"]
    return {n.removeprefix(PREFIX): t for n, t in state.items() if n.startswith(PREFIX)}


def in_folder(folder):
    return AutoModelForCausalLM.from_pretrained(folder).state_dict()


def same(found, expected):
    assert found.keys() == expected.keys()
    for name, tensor in expected.items():
        assert found[name].dtype == tensor.dtype, name
        assert torch.equal(found[name], tensor), name
    return True


def names(folder):
    return {path.name for path in folder.iterdir()}


def change(path, **settings):
    """Set keys of a yaml file, dots written as double underscores."""
    content = OmegaConf.load(path)
    for key, value in settings.items():
        OmegaConf.update(content, key.replace("__", "."), value)
    OmegaConf.save(content, path)


def configure(run, **settings):
    change(run / ".hydra" / "config.yaml", **settings)


def rewrite(path, edit):
    content = torch.load(path, weights_only=True)
    edit(content["state_dict"])
    torch.save(content, path)


def card(folder):
    return (folder / "README.md").read_text(encoding="utf-8")


def front_matter(folder):
    return yaml.safe_load(card(folder).split("---\n")[1])


def block(folder, language):
    [found] = re.findall(rf"^```{language}\n(.*?)\n```$", card(folder), re.MULTILINE | re.DOTALL)
    return found


def rows(folder, first):
    """Cells of the card's table rows that begin with a word."""
    lines = [line for line in card(folder).splitlines() if line.startswith(f"| {first} |")]
    return [[cell.strip() for cell in line.strip("|").split("|")[1:]] for line in lines]


def test_the_command_writes_the_last_checkpoint_as_the_run_wrote_its_policy(forks, run, tokenizer):
    done = forks.run("p2o.cli.export", ["run"], run.parent)
    assert (done.returncode, done.stderr) == (0, "")
    parameters = AutoModelForCausalLM.from_pretrained(run / "export").num_parameters()
    size = (run / "export" / "model.safetensors").stat().st_size / 1e6
    expected = f"run/export: epoch_0001.ckpt, {parameters:,} parameters, {size:.1f} MB"
    assert done.stdout == f"{expected}, stored once with those of policy\n"
    assert (run / "export" / "model.safetensors").samefile(run / "policy" / "model.safetensors")
    assert len({(run / "policy" / name).stat().st_mode for name in names(run / "policy")}) == 1
    assert same(in_folder(run / "export"), in_checkpoint(run / "checkpoints" / "last.ckpt"))
    policy = names(run / "policy")
    assert {"model.safetensors", "tokenizer.json", "generation_config.json"} < policy
    assert names(run / "export") == {*policy, "README.md"}
    for name in policy:
        assert (run / "export" / name).read_bytes() == (run / "policy" / name).read_bytes(), name
    words = AutoTokenizer.from_pretrained(run / "export")
    text = words.decode(range(len(tokenizer)))
    assert words(text)["input_ids"] == tokenizer(text)["input_ids"]
    assert words.chat_template == tokenizer.chat_template
    model = AutoModelForCausalLM.from_pretrained(run / "export")
    assert model.generation_config.eos_token_id == tokenizer.eos_token_id


def test_weights_that_differ_from_the_policys_stay_files_of_their_own(run, capsys):
    policy = run / "policy" / "model.safetensors"
    before = policy.read_bytes()
    first = export(run, "epoch_0000.ckpt") / "model.safetensors"
    assert capsys.readouterr().out.endswith(" MB\n")
    assert not first.samefile(policy)
    # An export in the same place neither writes into the policy's file nor leaves the old one.
    for checkpoint in ("last.ckpt", "last.ckpt", "epoch_0000.ckpt"):
        again = export(run, checkpoint, overwrite=True) / "model.safetensors"
        assert again.samefile(policy) == (checkpoint == "last.ckpt")
        assert policy.read_bytes() == before
        assert names(run / "export") == {*names(run / "policy"), "README.md"}


def test_a_disk_without_links_keeps_a_copy(run, capsys, monkeypatch):
    def refuse(*paths):
        raise OSError("no links here")

    monkeypatch.setattr("os.link", refuse)
    written = export(run) / "model.safetensors"
    assert capsys.readouterr().out.endswith(" MB\n")
    assert written.read_bytes() == (run / "policy" / "model.safetensors").read_bytes()
    assert not written.samefile(run / "policy" / "model.safetensors")


def test_the_command_is_installed():
    project = tomllib.loads((Path(__file__).parents[2] / "pyproject.toml").read_text())
    assert project["project"]["scripts"]["p2o-export"] == "p2o.cli.start:export"


def test_an_earlier_checkpoint_is_named_or_given_as_a_path(made, tmp_path):
    first, last = (in_checkpoint(made / "checkpoints" / f"epoch_000{n}.ckpt") for n in (0, 1))
    assert not torch.equal(first["model.norm.weight"], last["model.norm.weight"])
    shutil.copy(made / "checkpoints" / "epoch_0000.ckpt", tmp_path / "elsewhere.ckpt")
    for number, given in enumerate(("epoch_0000.ckpt", str(tmp_path / "elsewhere.ckpt"))):
        folder = export(made, given, tmp_path / str(number) / "below")
        assert same(in_folder(folder), first)


def test_weights_keep_the_type_of_the_checkpoint_unless_another_is_asked_for(run, tmp_path):
    path = run / "checkpoints" / "last.ckpt"
    whole = in_checkpoint(path)
    rounded = {name: tensor.bfloat16() for name, tensor in whole.items()}
    assert same(in_folder(export(run, output=tmp_path / "asked", dtype="bfloat16")), rounded)
    rewrite(path, lambda state: state.update({n: t.bfloat16() for n, t in state.items()}))
    assert same(in_folder(export(run, output=tmp_path / "kept")), rounded)
    for folder in ("asked", "kept"):
        assert json.loads((tmp_path / folder / "config.json").read_text())["dtype"] == "bfloat16"
        assert rows(tmp_path / folder, "parameters") == [["353,664, bfloat16"]]
    wide = export(run, output=tmp_path / "wide", dtype="float32")
    assert same(in_folder(wide), {name: tensor.float() for name, tensor in rounded.items()})


def test_an_adapter_is_merged_and_rounded_afterwards(p2o_train, tmp_path):
    run = tmp_path / "run"
    done = p2o_train(*SMALL, "model/adapter=lora", "optimizer.lr=1e-2", f"hydra.run.dir={run}")
    assert done.returncode == 0, done.stderr
    trained = in_checkpoint(run / "checkpoints" / "last.ckpt")
    assert any("lora_B" in name and tensor.any() for name, tensor in trained.items())
    # The weights below the adapter are those of the model that it started from.
    assert all("lora_" in name for name in trained)
    size = (run / "checkpoints" / "last.ckpt").stat().st_size
    assert size < 4 * sum(tensor.numel() for tensor in trained.values()) * 4 + 100_000
    merged = in_folder(run / "policy")
    assert same(in_folder(export(run)), merged)
    assert "adapter_config.json" not in names(run / "export")
    start = load_policy("embedded:digits")[0].state_dict()
    assert not torch.equal(
        merged["model.layers.0.self_attn.q_proj.weight"],
        start["model.layers.0.self_attn.q_proj.weight"],
    )
    rounded = {name: tensor.bfloat16() for name, tensor in merged.items()}
    assert same(in_folder(export(run, output=tmp_path / "half", dtype="bfloat16")), rounded)


def test_a_tied_weight_need_not_be_there_under_both_names(run, tmp_path):
    path = run / "checkpoints" / "last.ckpt"
    expected = in_checkpoint(path)
    rewrite(path, lambda state: state.pop(f"{PREFIX}lm_head.weight"))
    assert same(in_folder(export(run)), expected)


@pytest.mark.parametrize("path", ["base", "${hydra:runtime.cwd}/base", "${start}/base"])
def test_the_model_is_found_where_the_run_was_started(run, tmp_path, tokenizer, path, monkeypatch):
    """Also by an interpolation, which the card leaves as it was written."""
    start = tmp_path / "start"
    save_policy(load_policy("embedded:digits")[0], tokenizer, start / "base")
    configure(run, model__path=path, start="${hydra:runtime.cwd}")
    change(run / ".hydra" / "hydra.yaml", hydra__runtime__cwd=str(start))
    monkeypatch.chdir("/")
    before = HydraConfig.instance().cfg
    folder = export(run)
    assert same(in_folder(folder), in_checkpoint(run / "checkpoints" / "last.ckpt"))
    shown = "${hydra:runtime.cwd}/base" if "$" in path else "base"
    assert rows(folder, "trained from") == [[f"`{shown}`"]]
    assert "# base, trained with p2o" in card(folder)
    assert "base_model" not in front_matter(folder)
    assert str(start) not in card(folder)
    assert HydraConfig.instance().cfg is before


def test_a_folder_is_no_model_of_the_hub(run, tmp_path, tokenizer, monkeypatch):
    """Without a record of where the run was started, it is looked for from here."""
    save_policy(load_policy("embedded:digits")[0], tokenizer, tmp_path / "models" / "base")
    configure(run, model__path="models/base")
    (run / ".hydra" / "hydra.yaml").unlink()
    monkeypatch.chdir(tmp_path)
    folder = export(run)
    assert same(in_folder(folder), in_checkpoint(run / "checkpoints" / "last.ckpt"))
    assert front_matter(folder)["tags"] == ["p2o", "reinforcement-learning"]
    assert "base_model" not in front_matter(folder)
    assert rows(folder, "algorithm") == []


def test_a_model_of_the_hub_is_named_as_the_base(run, tmp_path, tokenizer):
    cache = tmp_path / "hub" / "models--someone--digits-1.5B"
    save_policy(load_policy("embedded:digits")[0], tokenizer, cache / "snapshots" / "abc")
    (cache / "refs").mkdir()
    (cache / "refs" / "main").write_text("abc")
    configure(run, model__path="someone/digits-1.5B")
    offline = {"HF_HUB_CACHE": str(tmp_path / "hub"), "HF_HUB_OFFLINE": "1"}
    done = command("p2o.cli.export", "run", cwd=tmp_path, **offline)
    assert (done.returncode, done.stderr) == (0, "")
    assert front_matter(run / "export")["base_model"] == "someone/digits-1.5B"
    assert "# digits-1.5B, trained with p2o" in card(run / "export")


def test_the_card_tells_what_the_run_did(run, monkeypatch):
    monkeypatch.setenv("SECRET", "do not show")
    configure(run, mining__note="${oc.env:SECRET} for ${seed}", seed=17)
    summary = json.loads((run / "summary.json").read_text())
    ledger = summary["ledger"]
    summary |= {
        "accuracy": {"before": 0.123, "after": 0.456},
        "hard_accuracy": {"before": 0.0, "after": None},
        "held_out_hard": 0,
    }
    (run / "summary.json").write_text(json.dumps(summary))
    folder = export(run)
    assert front_matter(folder) == {
        "library_name": "transformers",
        "pipeline_tag": "text-generation",
        "tags": ["p2o", "grpo", "reinforcement-learning"],
    }
    assert rows(folder, "checkpoint") == [["`epoch_0001.ckpt` after 4 updates"]]
    assert rows(folder, "algorithm") == [["`grpo`"]]
    assert rows(folder, "problems") == [["number", "before training", "at the run's end"]]
    assert rows(folder, "all") == [["8", "12.3%", "45.6%"]]
    assert rows(folder, "hard: none right before") == [["0", "0.0%", "-"]]
    spent = [ledger[phase]["generated_tokens"] for phase in ledger]
    assert rows(folder, "generated tokens") == [[f"{n:,.0f}" for n in [*spent, sum(spent)]]]
    assert rows(folder, "metric calls") == []
    assert "Templates" not in card(folder)
    assert "stopped" not in card(folder)
    shown = yaml.safe_load(block(folder, "yaml"))
    assert shown["mining"]["note"] == "${oc.env:SECRET} for 17"
    assert shown["logger"]["csv"]["save_dir"] == "${hydra:runtime.output_dir}"
    tokens = {kind: shown["sampling"][kind]["max_new_tokens"] for kind in shown["sampling"]}
    assert tokens == {"train": 24, "evolution": 24, "held_out": 24}
    assert shown.keys() == OmegaConf.load(run / ".hydra" / "config.yaml").keys()
    assert "do not show" not in card(folder)


def test_templates_are_shown_as_they_are_and_a_collapse_is_told(run):
    texts = ["Think.\n```\n| a |\n```\n", "# Add ````four````"]
    summary = json.loads((run / "summary.json").read_text())
    summary |= {"templates": [{"text": text, "score": None} for text in texts], "collapse": "NaN!"}
    (run / "summary.json").write_text(json.dumps(summary))
    configure(run, evolution={"evolver": {}})
    shown = card(export(run))
    assert f"````\n{texts[0]}\n````\n" in shown
    assert f"`````\n{texts[1]}\n`````\n" in shown
    assert "The run was stopped: NaN!" in shown
    assert "searches prompt templates" in shown


def test_the_card_of_an_earlier_checkpoint_has_that_checkpoints_accuracy(run, tmp_path):
    metrics = (run / "metrics.csv").read_text().splitlines()
    columns = metrics[0].split(",")
    place, accuracy, hard = map(columns.index, ("val/updates", "val/accuracy", "val/hard_accuracy"))
    path = run / "checkpoints" / "epoch_0000.ckpt"
    content = torch.load(path, weights_only=True)
    assert content["global_step"] > 0
    for number, line in enumerate(metrics):
        cells = line.split(",")
        if number and cells[place] and float(cells[place]) == content["global_step"]:
            cells[accuracy], cells[hard] = "0.777", "0.333"
            metrics[number] = ",".join(cells)
    (run / "metrics.csv").write_text("\n".join(metrics) + "\n")
    folder = export(run, "epoch_0000.ckpt")
    [columns], [found], [hard] = (
        rows(folder, name) for name in ("problems", "all", "hard: none right before")
    )
    place = columns.index("this checkpoint")
    assert (found[place], hard[place]) == ("77.7%", "33.3%")
    assert "The run ended with other weights than these." in card(folder)
    # Where nothing was measured: between two evaluations, or without a table.
    torch.save({**content, "global_step": 1000}, path)
    folder = export(run, "epoch_0000.ckpt", tmp_path / "first update")
    assert [found[place] for found in rows(folder, "all")] == ["-"]
    torch.save(content, path)
    (run / "metrics.csv").unlink()
    folder = export(run, "epoch_0000.ckpt", tmp_path / "unknown")
    assert [found[place] for found in rows(folder, "all")] == ["-"]


@pytest.mark.parametrize(
    ("copy", "known"), [(os.link, True), (os.link, False), (shutil.copy, True)]
)
def test_the_last_checkpoint_is_that_under_each_of_its_names(run, copy, known):
    """`best.ckpt` is a hard link where the disk has these, and a copy elsewhere."""
    folder, summary = run / "checkpoints", json.loads((run / "summary.json").read_text())
    assert (summary["updates"], summary["measured_at"]) == (4, 4)
    (folder / "best.ckpt").unlink()
    copy(folder / "epoch_0001.ckpt", folder / "best.ckpt")
    if not known:
        # Earlier versions did not write it; one file has several names all the same.
        del summary["updates"], summary["measured_at"]
        (run / "summary.json").write_text(json.dumps(summary))
    exported = export(run, "best.ckpt")
    assert rows(exported, "problems") == [["number", "before training", "at the run's end"]]
    assert "other weights" not in card(exported)


def test_weights_that_no_evaluation_has_measured_have_no_accuracy(run, tmp_path):
    """A guard may stop a run within an epoch."""
    summary = json.loads((run / "summary.json").read_text())
    summary |= {"measured_at": 3, "accuracy": {"before": 0.2, "after": 0.8}}
    summary |= {"templates": [{"text": "Think.", "score": None}], "collapse": "NaN!"}
    (run / "summary.json").write_text(json.dumps(summary))
    metrics = (run / "metrics.csv").read_text().splitlines()
    place = metrics[0].split(",").index("val/updates")
    kept = [line for line in metrics if not line.split(",")[place].startswith("4")]
    (run / "metrics.csv").write_text("\n".join(kept) + "\n")
    shown = card(export(run))
    assert rows(run / "export", "problems") == [
        ["number", "before training", "this checkpoint", "at the last evaluation"]
    ]
    assert rows(run / "export", "all") == [["8", "20.0%", "-", "80.0%"]]
    assert "The last evaluation was 1 update before the run's end." in shown
    assert "other weights" not in shown
    assert "rose to" not in shown


@pytest.mark.parametrize("content", [None, '{"accuracy": {'])
def test_a_run_that_was_killed_has_a_card_without_results(run, content):
    (run / "summary.json").unlink()
    shutil.rmtree(run / "policy")
    if content is not None:
        (run / "summary.json").write_text(content)
    folder = export(run)
    assert same(in_folder(folder), in_checkpoint(run / "checkpoints" / "last.ckpt"))
    assert "The run left no summary." in card(folder)
    assert not re.search("Results|spent|held-out", card(folder))
    assert yaml.safe_load(block(folder, "yaml"))["model"]["path"] == "embedded:digits"


@pytest.mark.parametrize("temperature", [0.0, 0.7])
def test_the_code_in_the_card_asks_as_the_run_asked(run, monkeypatch, capsys, temperature):
    asked: dict = {"system_prompt": 'Be "brief".', "prefix": "A:\n", "suffix": " '{}'"}
    configure(run, renderer=asked, sampling__held_out__temperature=temperature)
    monkeypatch.chdir(export(run).parent)
    held: dict = {}
    exec(block(run / "export", "python"), held)
    renderer = ChatRenderer(held["tokenizer"], **asked)
    expected = renderer.render([{"role": "user", "content": held["question"]}])
    assert held["inputs"]["input_ids"].tolist() == [expected]
    assert held["output"].shape[1] <= len(expected) + 24
    assert len(capsys.readouterr().out) > 1
    draw = "do_sample=True, temperature=0.7," if temperature else "do_sample=False,"
    assert draw in block(run / "export", "python")


def test_an_export_is_replaced_when_asked_and_the_rest_of_the_folder_stays(run, capsys):
    folder = export(run)
    stale = {"adapter_config.json", "model-00001-of-00002.safetensors", "pytorch_model.bin"}
    for name in stale:
        (folder / name).write_text("{}")
    (folder / ".git").mkdir()
    (folder / ".git" / "config").write_text("mine")
    said = refused(capsys, run, "--checkpoint", "epoch_0000.ckpt")
    assert said == f"--output={folder}: is not empty; add --overwrite or give another folder"
    assert "after 4 updates" in card(folder)
    export(run, "epoch_0000.ckpt", overwrite=True)
    assert same(in_folder(folder), in_checkpoint(run / "checkpoints" / "epoch_0000.ckpt"))
    assert "after 2 updates" in card(folder)
    assert names(folder) == {*names(run / "policy"), "README.md", ".git"}
    assert (folder / ".git" / "config").read_text() == "mine"


class Sharded(LightningModule):
    """Holds the policy as `P2OModule` does, spread over two ranks."""

    def __init__(self):
        super().__init__()
        self.policy = CausalPolicy(load_policy("embedded:digits")[0], 1.0)

    def configure_model(self):
        assert self.device_mesh is not None
        fully_shard(self.policy.model, mesh=self.device_mesh["data_parallel"])

    def training_step(self, batch):
        return self.policy.model(*batch).logits.square().mean()

    def configure_optimizers(self):
        return torch.optim.AdamW(self.parameters(), lr=0.1)


def write_shards(folder: Path):
    """Train on two ranks, and write what both of Lightning's strategies for shards write."""
    strategy = ModelParallelStrategy(2, 1, process_group_backend="gloo")
    trainer = Trainer(
        accelerator="cpu",
        devices=2,
        strategy=strategy,
        max_steps=2,
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
    )
    module = Sharded()
    ids = torch.randint(4, 90, (8, 9), generator=torch.Generator().manual_seed(1))
    trainer.fit(module, DataLoader(TensorDataset(ids), batch_size=2))
    trainer.save_checkpoint(folder / "model_parallel.ckpt")
    everything = StateDictOptions(full_state_dict=True, cpu_offload=True)
    whole = get_model_state_dict(module, options=everything)
    # FSDPStrategy wants a GPU; this is how it writes.
    other = torch.nn.ModuleDict({"policy": CausalPolicy(load_policy("embedded:digits")[0], 1.0)})
    shapes = {name: tensor.shape for name, tensor in other.state_dict().items()}
    generator = torch.Generator().manual_seed(2)
    drawn = {name: torch.randn(shape, generator=generator) for name, shape in shapes.items()}
    drawn[f"{PREFIX}lm_head.weight"] = drawn[f"{PREFIX}model.embed_tokens.weight"]
    other.load_state_dict(drawn)
    wrapped = FullyShardedDataParallel(other, device_id=torch.device("cpu"), use_orig_params=True)
    with FullyShardedDataParallel.state_dict_type(wrapped, StateDictType.SHARDED_STATE_DICT):
        state = wrapped.state_dict()
    save({"model": state}, checkpoint_id=folder / "fully_sharded.ckpt")
    if trainer.is_global_zero:
        torch.save({"global_step": 5}, folder / "fully_sharded.ckpt" / "meta.pt")
        torch.save({"state_dict": whole}, folder / "model_parallel.whole")
        torch.save({"state_dict": drawn}, folder / "fully_sharded.whole")
    distributed.barrier()


@pytest.fixture(scope="module")
def shards(tmp_path_factory):
    folder = tmp_path_factory.mktemp("shards")
    done = subprocess.run(
        [sys.executable, __file__, str(folder)],
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=HANGS,
    )
    assert done.returncode == 0, done.stderr
    return folder


@pytest.mark.multirank
@pytest.mark.parametrize(("kind", "updates"), [("model_parallel", 2), ("fully_sharded", 5)])
def test_shards_of_two_ranks_are_put_together(forks, run, shards, tmp_path, kind, updates):
    path = shards / f"{kind}.ckpt"
    index: dict = FileSystemReader(path).read_metadata().state_dict_metadata
    chunks = [len(entry.chunks) for name, entry in index.items() if name.endswith("_proj.weight")]
    assert set(chunks) == {2}
    assert {"__0_0.distcp", "__1_0.distcp"} < names(path)
    expected = in_checkpoint(shards / f"{kind}.whole")
    start = load_policy("embedded:digits")[0].state_dict()
    assert not any(torch.equal(expected[name], start[name]) for name in expected)
    # Beside the others it is found by its name.
    shutil.copytree(path, run / "checkpoints" / f"{kind}.ckpt")
    done = forks.run("p2o.cli.export", ["run", "--checkpoint", f"{kind}.ckpt"], tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    assert same(in_folder(run / "export"), expected)
    assert rows(run / "export", "checkpoint") == [[f"`{kind}.ckpt` after {updates} updates"]]


class Code:
    """What runs code when it is unpickled."""

    def __init__(self, function, *arguments):
        self.function, self.arguments = function, arguments

    def __reduce__(self):
        return self.function, self.arguments


def refused(capsys, run, *arguments):
    """The one line with which the command refuses."""
    sys.argv, before = ["p2o-export", str(run), *map(str, arguments)], sys.argv
    capsys.readouterr()
    try:
        with pytest.raises(SystemExit) as stopped:
            main()
    finally:
        sys.argv = before
    output = capsys.readouterr()
    assert (stopped.value.code, output.out) == (2, "")
    [line] = output.err.splitlines()
    assert line.startswith("error: ")
    return line.removeprefix("error: ")


@pytest.mark.multirank
@pytest.mark.parametrize("damage", ["unfinished", "cut", "lost", "index", "wrong", "code"])
def test_damaged_shards_are_refused(run, shards, tmp_path, capsys, damage):
    path = tmp_path / "broken.ckpt"
    shutil.copytree(shards / "model_parallel.ckpt", path)
    shard, index = path / "__1_0.distcp", path / ".metadata"
    said = "not a checkpoint, or a damaged one"
    if damage == "unfinished":
        index.unlink()
        said = "not a sharded checkpoint, or an unfinished one"
    elif damage == "cut":
        # Short enough to lack weights; the optimiser's state is not read.
        os.truncate(shard, shard.stat().st_size // 8)
        said = "damaged, cannot be read"
    elif damage == "lost":
        shard.unlink()
        said = "damaged, cannot be read"
    elif damage == "index":
        os.truncate(index, index.stat().st_size // 2)
    elif damage == "wrong":
        index.write_bytes(pickle.dumps({"state_dict": 1}))
    else:
        index.write_bytes(pickle.dumps(Code(os.mkdir, str(tmp_path / "made by code"))))
    assert refused(capsys, run, "--checkpoint", path) == f"--checkpoint={path}: {said}"
    assert not (tmp_path / "made by code").exists()
    assert not (run / "export").exists()


def test_a_file_that_is_no_checkpoint_is_refused(run, tmp_path, capsys):
    path = tmp_path / "broken.ckpt"
    whole = (run / "checkpoints" / "last.ckpt").read_bytes()
    damaged = f"--checkpoint={path}: not a checkpoint, or a damaged one"
    for content in (b"", b"text", whole[: len(whole) // 2], whole[:-40], whole[1000:]):
        path.write_bytes(content)
        assert refused(capsys, run, "--checkpoint", path) == damaged
    code = {"state_dict": {f"{PREFIX}x": Code(os.mkdir, str(tmp_path / "made by code"))}}
    for content in (code, [1, 2], {"state_dict": 3}):
        torch.save(content, path)
        assert refused(capsys, run, "--checkpoint", path) == damaged
    assert not (tmp_path / "made by code").exists()
    other = f"--checkpoint={path}: not a checkpoint of p2o-train (no policy.model.*)"
    for content in ({}, {"state_dict": {"model.weight": torch.ones(2)}}):
        torch.save(content, path)
        assert refused(capsys, run, "--checkpoint", path) == other


def test_weights_that_do_not_fit_are_named(run, capsys):
    path = run / "checkpoints" / "last.ckpt"
    start = f"--checkpoint={path}: does not fit the run's model: "
    norm, last = f"{PREFIX}model.norm.weight", f"{PREFIX}model.layers.2.post_attention_layernorm"
    edits = [
        (lambda state: state.pop(norm), f"it has no {norm}; give a checkpoint of this run"),
        (lambda state: state.pop(f"{last}.weight"), f"it has no {last}.weight, and 1 more; give"),
        (lambda state: state.update({f"{PREFIX}more": torch.ones(2)}), "it has no "),
        (
            lambda state: state.update(
                {
                    norm: torch.ones(96),
                    f"{last}.weight": torch.ones(96),
                    f"{PREFIX}lm_head.weight": torch.ones(3, 96),
                }
            ),
            f"{PREFIX}lm_head.weight is [3, 96], in the model [221, 96], and 1 more; give",
        ),
        (lambda state: state.pop(f"{PREFIX}more"), f"{PREFIX}lm_head.weight is [3, 96], in the"),
    ]
    for edit, said in edits:
        rewrite(path, edit)
        found = refused(capsys, run)
        assert found.startswith(start + said), found
    rewrite(
        path,
        lambda state: state.update(
            {
                f"{PREFIX}lm_head.weight": state[f"{PREFIX}model.embed_tokens.weight"],
                f"{PREFIX}more": torch.ones(2),
            }
        ),
    )
    assert refused(capsys, run).startswith(f"{start}the model has no {PREFIX}more; give a check")


def test_a_run_that_is_none_is_refused(run, tmp_path, capsys):
    assert refused(capsys, tmp_path / "nowhere") == (
        f"{tmp_path}/nowhere: not a run directory of p2o-train (is no folder)"
    )
    assert refused(capsys, tmp_path) == (
        f"{tmp_path}: not a run directory of p2o-train (has no .hydra/config.yaml); {run} is one"
    )
    config = run / ".hydra" / "config.yaml"
    for content, said in (
        ("model: [", f"{config}: cannot be read as yaml"),
        ("- a", f"{config}: not a configuration; there are no keys in it"),
    ):
        config.write_text(content)
        assert refused(capsys, run) == said
    for content in ("seed: 1", "model: digits", "model: ???", "model: {dtype: float32}"):
        config.write_text(content)
        said = f"{run}: not a run directory of p2o-train ({config} names no model)"
        assert refused(capsys, run) == said


def test_a_model_that_cannot_be_loaded_is_named(run, capsys):
    configure(run, model__path="/nowhere/there")
    assert refused(capsys, run).startswith("model.path=/nowhere/there: cannot be loaded (")
    configure(run, model__path="${hydra:runtime.cwd}")
    (run / ".hydra" / "hydra.yaml").unlink()
    assert refused(capsys, run).startswith("model: ")


def test_other_arguments_that_cannot_work_are_named(run, capsys):
    file = run / "metrics.csv"
    for arguments, said in (
        (
            ["--checkpoint", "next.ckpt"],
            "no such checkpoint; there are best.ckpt, epoch_0000.ckpt, ",
        ),
        (["--dtype", "int8"], "give float64, float32, float16 or bfloat16"),
        (["--dtype", "half a float"], "give float64, float32, float16 or bfloat16"),
        (["--output", file], "is a file; give a folder"),
        (["--output", file / "below"], "cannot be written ("),
    ):
        start = f"{arguments[0]}={arguments[1]}: "
        assert refused(capsys, run, *arguments).startswith(start + said)
    for path in (run / "checkpoints").iterdir():
        if not path.is_symlink():
            path.unlink()
    assert refused(capsys, run) == "--checkpoint=last.ckpt: no such checkpoint; there are none"


if __name__ == "__main__":
    write_shards(Path(sys.argv[1]))
