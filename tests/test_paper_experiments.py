"""The paper's experiments as configurations: its settings, and every part of them can be made."""

from itertools import product
from pathlib import Path

import pytest
import torch
from hydra import compose, initialize_config_dir
from hydra.core.hydra_config import HydraConfig
from omegaconf import OmegaConf, open_dict

from p2o.cli.checks import check
from p2o.configuration.build import CONFIG_NAME, build, build_all, call, conf_directory
from p2o.configuration.overrides import compose_config
from p2o.learning.module import P2OModule
from p2o.planning import plan_from_config
from p2o.planning.examples import configurations
from p2o.planning.shape import meta_model
from p2o.policy.packing import ALWAYS, Packer
from p2o.policy.sharding import FullyShardedStrategy
from p2o.sample import Sample

pytestmark = pytest.mark.slow

EXPERIMENTS = list(product(("deepscaler", "deepmath"), (5000, 10_000), ("self", "teacher")))
TEACHER = ["reflection.base_url=http://127.0.0.1:9/v1", "reflection.model=teacher"]


@pytest.fixture(params=EXPERIMENTS, ids=lambda chosen: "-".join(map(str, chosen)))
def config(request, tmp_path):
    """A composed experiment, with a folder that has Qwen3-4B's architecture and no weights."""
    folder: Path = tmp_path / "Qwen3-4B"
    configurations()["Qwen3-4B"].save_pretrained(folder)
    data, size, reflection = request.param
    overrides = ["experiment=paper", f"hydra.runtime.output_dir={tmp_path}"]
    overrides += [f"data={data}", f"data.source.train={size}", f"reflection={reflection}"]
    overrides += TEACHER if reflection == "teacher" else []
    with initialize_config_dir(version_base="1.3", config_dir=str(conf_directory())):
        composed = compose(CONFIG_NAME, overrides=overrides, return_hydra_config=True)
    HydraConfig.instance().set_config(composed)
    with open_dict(composed):
        del composed["hydra"]
    assert composed.model.path == "Qwen/Qwen3-4B"
    composed.model.path = str(folder)
    yield composed
    HydraConfig.instance().cfg = None


def test_the_settings_are_the_paper_s_and_every_part_is_made_on_the_meta_device(
    config, monkeypatch, request
):
    monkeypatch.setenv("OPENAI_API_KEY", "none")
    check(config)
    name, size, reflected = request.node.callspec.params["config"]
    assert config.data.source.file == name
    assert config.reflection._target_.lower().endswith(f"{reflected}reflection")
    assert (config.data.source.train, config.data.source.held_out) == (size, 500)
    data = config.data
    assert (data.batch, data.mini_batch, data.group_size) == (128, 64, 6)
    assert (data.max_prompt_tokens, config.sampling.train.max_new_tokens) == (4096, 12288)
    assert (config.sampling.train.temperature, config.optimizer.lr) == (0.6, 1e-6)
    assert (config.mining.threshold, config.scheduler.warmup) == (2, 0.05)
    assert (config.algorithm.kl.coefficient, config.algorithm.entropy_coefficient) == (0, 0)
    assert (config.trainer.max_epochs, config.trainer.devices) == (10, 8)
    evolver = config.evolution.evolver
    assert (evolver.budget, evolver.width, evolver.minibatch_size) == ("heavy_4", 16, 3)
    assert (evolver.dev_size, evolver.minimum) == (300, 100)
    assert evolver.evidence == 0

    model = meta_model(configurations()["Qwen3-4B"], getattr(torch, config.model.dtype))
    sampling = build(config.sampling.train, "sampling.train")
    module: P2OModule = call(
        P2OModule,
        "module",
        model=model,
        policy_loss=build(config.algorithm.loss, "algorithm.loss"),
        optimizer=build(config.optimizer, "optimizer"),
        temperature=sampling.temperature,
        kl=build(config.algorithm.kl, "algorithm.kl"),
        **config.module,
    )
    optimizer = module.make_optimizer(module.parameters())
    scheduler = build(config.scheduler, "scheduler")(optimizer, num_training_steps=790)
    for _ in range(40):
        scheduler.step()
    assert scheduler.get_last_lr() == [1e-6]
    assert isinstance(build(config.trainer.strategy, "trainer.strategy"), FullyShardedStrategy)
    for key in ("verifier", "mining", "assignment", "baseline", "distillation"):
        assert build(config[key], key) is not None
    assert build(config.data.source, "data.source").train == size
    reflection = build(config.reflection, "reflection")
    offered = {"reflection": reflection, "assigner": build(config.assignment, "a")}
    made = build(evolver, "evolver", offered=offered)
    assert build(config.evolution.callback, "evolution.callback", evolver=made)
    assert len(build_all(config.callbacks, "callbacks")) == len(config.callbacks)
    OmegaConf.resolve(config.rollout)


def test_alone_it_is_the_smaller_set_with_templates_by_the_policy():
    config = compose_config(["experiment=paper"], CONFIG_NAME)
    assert (config.data.source.file, config.data.source.train) == ("deepscaler", 5000)
    assert config.reflection._target_.endswith("SelfReflection")


@pytest.fixture
def packed(config):
    """Packs what one GPU trains in an update, rollouts of equal lengths, as a run does."""

    def pack(prompt: int, response: int) -> tuple[int, int, int]:
        samples = [
            Sample.of([group] * prompt, [k] * response)
            for group in range(config.data.mini_batch)
            for k in range(config.data.group_size)
        ]
        packer = Packer(ALWAYS, configurations()["Qwen3-4B"].hidden_size, config.module.pass_tokens)
        mine = [samples[index] for index in packer.split_evenly(samples, config.trainer.devices)[3]]
        parts = packer.split_evenly(mine, config.trainer.accumulate_grad_batches)
        passes = [
            made for part in parts for made, _ in packer.pack([mine[index] for index in part])
        ]
        return len(mine), sum(made.tokens for made in passes), len(passes)

    return pack


def test_an_update_reads_a_prompt_once_where_that_saves_work(config, packed):
    rollouts, tokens, passes = packed(prompt=300, response=100)
    assert rollouts == 48
    assert tokens == 8 * (300 + 6 * 100)
    assert passes == 1
    # Long responses to a short prompt: under a dense mask each is cheaper alone.
    assert packed(prompt=512, response=6144) == (48, 48 * (512 + 6144), 48)


def test_it_fits_on_paper(config):
    plan = plan_from_config(config)
    # What is held is a pass, however many rows a micro-batch has.
    assert (plan.setup.micro_rows, plan.setup.held_rows, plan.setup.passes) == (48, 1, 48)
    assert plan.setup.training.ranks == plan.setup.training.sharding == 8
    assert plan.setup.device.name == "H100 SXM 80 GB"
    assert plan.fits
