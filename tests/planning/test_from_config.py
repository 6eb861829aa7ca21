"""What a configuration says reaches the estimate; what it does not say is said to be assumed."""

import json
from dataclasses import replace

import pytest
from hydra import compose, initialize_config_dir
from hydra.core.hydra_config import HydraConfig
from omegaconf import OmegaConf, open_dict

from p2o.configuration.build import CONFIG_NAME, conf_directory
from p2o.errors import UserError
from p2o.planning import plan_from_config
from p2o.planning.examples import configurations, published, shapes
from p2o.policy.models import load_policy

pytestmark = pytest.mark.slow

GROUPS = ("optimizer", "algorithm", "distillation", "evolution", "reflection", "reference", "data")
OPTIONS = [
    (group, path.stem)
    for group in GROUPS
    for path in sorted((conf_directory() / group).glob("*.yaml"))
]


@pytest.fixture
def plan(tmp_path):
    """Plans what `p2o-train` would do with these overrides."""

    def run(*overrides, change=None):
        with initialize_config_dir(version_base="1.3", config_dir=str(conf_directory())):
            config = compose(
                CONFIG_NAME,
                overrides=[*overrides, f"hydra.runtime.output_dir={tmp_path}"],
                return_hydra_config=True,
            )
        HydraConfig.instance().set_config(config)
        with open_dict(config):
            del config["hydra"]
            for key, value in (change or {}).items():
                OmegaConf.update(config, key, value, force_add=True)
        return plan_from_config(config)

    yield run
    HydraConfig.instance().cfg = None


@pytest.fixture
def qwen3_4b(tmp_path):
    """A folder with the configuration of Qwen3-4B and nothing else."""
    folder = tmp_path / "Qwen3-4B"
    configurations()["Qwen3-4B"].save_pretrained(folder)
    return folder


def test_the_default_run_is_small_and_fits(plan):
    made = plan()
    model = load_policy("embedded:digits")[0]
    assert made.setup.shape.parameters == sum(p.numel() for p in model.parameters())
    assert made.setup.training.trained == made.setup.shape.parameters
    assert made.fits
    assert made.peak < 1e9
    # data=digits: 128 prompts in batches of 16, one optimiser step each; eight epochs.
    assert (made.steps, made.setup.schedule.epochs, made.setup.schedule.searches) == (8, 8, 7)
    assert made.setup.schedule.search.number == 600
    assert made.setup.schedule.held_out.number == 200
    assert 0 < made.run_seconds < 3600


@pytest.mark.parametrize(("group", "option"), OPTIONS, ids=lambda value: value)
def test_every_option_can_be_planned(plan, group, option):
    made = plan(f"{group}={option}", change={"planning.prompts": 64})
    assert made.peak > 0
    assert made.run_seconds > 0


def test_of_a_mixture_the_rows_of_all_sources_are_planned(plan):
    sources = {"a": {"train": 40, "held_out": 10}, "b": {"train": 24, "held_out": 6}}
    made = plan("data=mixture", change={"data.source.sources": sources, "data.batch": 8})
    assert made.steps == 8
    assert made.setup.schedule.held_out.number == 16
    sources["b"] = {}
    made = plan("data=mixture", change={"data.source.sources": sources})
    assert "planning.prompts=1000 in an epoch" in made.assumptions


def test_rows_of_a_file_are_counted(plan, tmp_path):
    file = tmp_path / "rows.jsonl"
    rows = [{"question": f"What is {n} + 1?", "answer": str(n + 1)} for n in range(50)]
    file.write_text("".join(json.dumps(row) + "\n" for row in rows))
    options = ("data=file", f"data.source.path={file}", "data.source.held_out=10")
    made = plan(*options, "data.batch=8", "data.mini_batch=8")
    assert (made.steps, made.setup.schedule.held_out.number) == (5, 10)
    assert not any("planning.prompts" in said for said in made.assumptions)
    file.write_text('{"body": "a"}\n')
    with pytest.raises(UserError, match=r"^data\.source"):
        plan(*options)
    # It may be on the machine where the run is to be.
    file.unlink()
    assert "planning.prompts=1000 in an epoch" in plan(*options).assumptions


PUBLISHED = (
    "trainer=gpu",
    "trainer.devices=8",
    "trainer.max_epochs=10",
    "rollout=vllm",
    "rollout.dtype=bfloat16",
    "data.batch=128",
    "data.mini_batch=64",
    "data.source.train=5000",
    "data.source.held_out=500",
    "data.max_prompt_tokens=4096",
    "sampling.train.max_new_tokens=12288",
    "evolution.evolver.budget=heavy_4",
    "evolution.evolver.dev_size=300",
    "module.chunk_tokens=1024",
    "module.pass_tokens=8192",
)


def test_the_published_setting_on_the_command_line_is_that_of_the_tables(plan, qwen3_4b):
    assumed = {
        "planning.device": "h100",
        "planning.mean_prompt_tokens": 512,
        "planning.mean_new_tokens": 6144,
        "planning.templated_share": 0.5,
        "planning.trained_share": 1.0,
    }
    made = plan(*PUBLISHED, f"model.path={qwen3_4b}", change=assumed)
    expected = published(shapes()["Qwen3-4B"], 8)
    for part in ("shape", "training", "batch", "engine", "schedule", "device", "efficiency"):
        assert getattr(made.setup, part) == getattr(expected, part), part


@pytest.mark.parametrize(
    ("overrides", "expected"),
    [
        ([], {"compute": "float32", "autocast": False, "trained_bytes": 4}),
        (
            ["trainer=gpu"],
            {"compute": "bfloat16", "autocast": True, "stream_bytes": 4, "compute_bytes": 2},
        ),
        (["trainer=gpu", "model.dtype=bfloat16"], {"autocast": False, "trained_bytes": 2}),
        (
            ["+trainer.precision=bf16-true"],
            {"compute": "bfloat16", "trained_bytes": 2, "stream_bytes": 2, "autocast": False},
        ),
        (["trainer.devices=4", "+trainer.num_nodes=2"], {"ranks": 8, "sharding": 1}),
        (["trainer.devices=[0,1,3]"], {"ranks": 3}),
        (["trainer.devices='2'"], {"ranks": 2}),
        (["trainer.devices=4", "+trainer.strategy=fsdp"], {"sharding": 4}),
        (
            ["trainer=gpu", "trainer.devices=4", "+trainer.strategy=fsdp"],
            {"autocast": False, "compute": "bfloat16", "stream_bytes": 2, "trained_bytes": 4},
        ),
        (
            [
                "trainer=gpu",
                "trainer.devices=4",
                "+trainer.strategy._target_=p2o.policy.sharding.FullyShardedStrategy",
            ],
            {"autocast": True, "sharding": 4},
        ),
        (
            ["trainer.devices=2", "+trainer.strategy.gradient_as_bucket_view=true"],
            {"bucket_copies": False, "ranks": 2},
        ),
        (["reference=initial"], {"frozen_copies": 1}),
        (["reference=initial", "teacher=moving_average"], {"frozen_copies": 2}),
        (["reflection=self"], {"frozen_copies": 1}),
        (["reflection=self", "evolution=none"], {"frozen_copies": 0}),
        (["reflection=self", "rollout=vllm"], {"frozen_copies": 0}),
        (["reference=initial", "model/adapter=lora"], {"frozen_copies": 0}),
        (["model.attention=eager"], {"attention": "eager"}),
        (["trainer=fsdp2", "trainer.devices=4"], {"sharding": 4, "compute": "float32"}),
        (
            ["trainer=fsdp2", "trainer.devices=4", "trainer.strategy.compute_dtype=bfloat16"],
            {"sharding": 4, "compute": "bfloat16", "stream_bytes": 2, "autocast": False},
        ),
        (["optimizer=sgd"], {"optimizer_bytes": 0}),
        (["optimizer=lion"], {"optimizer_bytes": 4}),
        (["optimizer=adamw"], {"optimizer_bytes": 8, "scratch_bytes": 0}),
        (["trainer=gpu"], {"optimizer_bytes": 8, "scratch_bytes": 4}),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_how_weights_are_trained(plan, overrides, expected):
    training = plan(*overrides).setup.training
    assert {name: getattr(training, name) for name in expected} == expected


def test_checkpointing_is_read(plan):
    assert not plan().setup.training.checkpointing
    assert plan("model.gradient_checkpointing=true").setup.training.checkpointing


def test_an_adapter_is_counted_without_memory(plan):
    training = plan("model/adapter=lora", "model.dtype=bfloat16").setup.training
    shape = plan().setup.shape
    assert training.trained == shape.lora_parameters(16)
    assert training.trained_bytes == 4
    assert training.frozen_bytes == 2 * shape.parameters


@pytest.mark.parametrize(
    ("overrides", "share", "passes"),
    [
        # One optimiser step a batch: bare rows need none, templated ones two for the mask.
        (["evolution=none"], None, 0.0),
        ([], None, 2.0),
        ([], 0.25, 0.5),
        (["data.mini_batch=8"], 0.0, 0.5),
        (["data.mini_batch=4"], 0.5, 1.0 + 0.5 * 0.75),
        (["distillation=no_crm", "data.mini_batch=8"], 1.0, 0.5),
        (["distillation=importance_corrected"], 1.0, 1.0),
        (["distillation=success_only"], 1.0, 0.0),
        (["distillation=sibling_context", "evolution=none"], None, 2.0),
        (["distillation=reverse_kl_top_k"], 0.25, 0.5),
        (["evolution=none", "reference=initial"], None, 1.0),
        (
            [
                "evolution=none",
                "reference=initial",
                "algorithm.kl.coefficient=0.1",
                "algorithm.kl.place=reward",
            ],
            None,
            3.0,
        ),
    ],
    ids=str,
)
def test_rows_are_scored_as_often_as_the_strategy_needs(plan, overrides, share, passes):
    made = plan(*overrides, change={"planning.templated_share": share})
    assert made.setup.batch.scoring_passes == passes


def test_engines_are_told_apart(plan):
    hf = plan("rollout.max_batch_size=32", "model.dtype=bfloat16").setup.engine
    assert (hf.kind, hf.number_bytes, hf.max_rows) == ("hf", 2, 32)
    assert hf.step_seconds > 0
    colocated = plan("rollout=vllm", "rollout.memory_share=0.7", "rollout.sleep=false").setup.engine
    assert (colocated.kind, colocated.number_bytes) == ("vllm", 4)
    assert (colocated.memory_share, colocated.sleeps, colocated.step_seconds) == (0.7, False, 0)
    assert plan("rollout=vllm", "rollout.dtype=bfloat16").setup.engine.number_bytes == 2


def test_servers_have_devices_of_their_own(plan):
    node = {
        "_target_": "p2o.rollout.vllm_server.vllm_server_engine",
        "urls": ["http://a", "http://b"],
        "concurrency": 10,
    }
    made = plan(
        "trainer.devices=4",
        "~rollout",
        change={"rollout": node, "planning.devices_per_server": 2},
    )
    assert made.setup.engine.kind == "vllm_server"
    assert (made.setup.engine.max_rows, made.setup.replicas) == (40, 2)
    assert made.setup.devices == 4 + 2 * 2


@pytest.mark.parametrize(
    ("option", "calls"),
    [
        *[
            ("gepa", 600),
            ("none", 0),
            ("random_template", 0),
            ("in_training", 0),
            ("single_turn_reflection", 128),
        ],
        *[("fixed", 0), ("solution_share", 0), ("assistant_prefix", 0), ("demonstrations", 9 * 24)],
        *[("tiered", 3 * 128), ("searched_share", 3 * 128), ("self_hint", 2 * 128)],
        ("similar_demonstrations", 3 * 128),
    ],
)
def test_metric_calls_are_those_of_the_search(plan, option, calls):
    assert plan(f"evolution={option}").setup.schedule.search.number == calls


@pytest.mark.parametrize(
    ("overrides", "searches"),
    [
        (["evolution.callback.last_search=1"], 1),
        (["evolution.callback.at_start=true", "evolution.callback.every_n_epochs=3"], 3),
        # Eight epochs of eight steps: 64, the last of which is followed by none.
        (["evolution.callback.every_n_steps=2"], 31),
        (["evolution.callback.every_n_steps=2", "evolution.callback.last_search=3"], 12),
        (["evolution=none"], 0),
    ],
)
def test_searches_are_those_of_the_callback(plan, overrides, searches):
    assert plan(*overrides).setup.schedule.searches == searches


@pytest.mark.parametrize("given", [None, 0.9, 0.25])
def test_rollouts_that_stay_bare_are_not_templated(plan, given):
    """Two of six rollouts can be; each is scored twice for the mask."""
    change = {"planning.templated_share": given}
    made = plan("evolution.callback.bare_rollouts=4", change=change)
    assert made.setup.batch.scoring_passes == pytest.approx(2 * min(given or 1, 2 / 6))
    said = "planning.templated_share=0.333: every rollout is templated that can be"
    assert (said in made.assumptions) == (given != 0.25)


def test_the_papers_search_makes_its_11040_metric_calls(plan):
    made = plan("evolution.evolver.budget=heavy_4", "evolution.evolver.dev_size=300")
    search = made.setup.schedule.search
    assert (search.number, search.at_once) == (11_040, 300)


def test_what_is_not_known_is_assumed_aloud(plan, tmp_path):
    said = plan("data=gsm8k", "trainer.max_epochs=null").assumptions
    for expected in (
        "planning.prompts=1000 in an epoch",
        "planning.device=laptop",
        "planning.mean_new_tokens=24: all are as long as the longest",
        "planning.templated_share=1: every rollout is templated",
        "the run is one epoch",
    ):
        assert expected in said
    quiet = plan(
        "evolution=none",
        change={
            "planning": {
                "device": "h200",
                "mean_prompt_tokens": 20,
                "mean_new_tokens": 9,
                "trained_share": 0.5,
                "prompts": 7,
                "flops_efficiency": 0.2,
            }
        },
    )
    assert quiet.assumptions == ("20% of peak arithmetic and 60% of peak bandwidth are reached",)
    assert quiet.setup.device.name.startswith("H200")
    assert quiet.setup.schedule.prompts == 7
    assert quiet.setup.batch.mean_new_tokens == 9
    assert quiet.setup.schedule.held_out.mean_new_tokens == 9
    assert quiet.setup.batch.trained_share == 0.5
    assert quiet.setup.efficiency.flops == 0.2


def test_parts_from_elsewhere_are_assumed_to_be_like_p2os(plan):
    said = plan(
        change={
            "optimizer": {"_target_": "mine.Optimizer"},
            "rollout": {"_target_": "mine.Engine"},
            "evolution.evolver": {"_target_": "mine.Search"},
            "trainer.strategy": "deepspeed_stage_3",
            "trainer.devices": "auto",
        }
    ).assumptions
    for expected in (
        "mine.Optimizer keeps as much as AdamW",
        "mine.Engine needs what vLLM in the trainer's process does",
        "Search makes no metric calls",
        "trainer.strategy=deepspeed_stage_3 keeps a whole copy on each device",
        "trainer.devices=auto is one device a node",
    ):
        assert expected in said


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"planning.device": "h1000"}, "planning.device=h1000: there are h100, h200, a100, laptop"),
        ({"planning.trained_share": 2}, "planning.trained_share=2: give at least 0 and at most 1"),
        ({"planning.prompts": "many"}, "planning.prompts=many: give a number"),
        ({"planning.prompts": True}, "planning.prompts=True: give a number"),
        ({"planning.prompts": 0}, "planning.prompts=0: give at least 1"),
        (
            {"planning.mean_new_tokens": 25},
            "planning.mean_new_tokens=25: give at least 1 and at most 24",
        ),
        ({"model.dtype": "float33"}, "model.dtype=float33: give a torch type such as"),
    ],
    ids=lambda value: next(iter(value)) if isinstance(value, dict) else "",
)
def test_values_that_cannot_work_are_named(plan, change, message):
    with pytest.raises(UserError) as caught:
        plan(change=change)
    assert str(caught.value).startswith(message)
    assert "\n" not in str(caught.value)


def test_a_mixture_of_experts_is_said_to_be_counted_densely(plan, tmp_path):
    config = json.loads((conf_directory().parent / "p2o/world/digits/config.json").read_text())
    folder = tmp_path / "experts"
    folder.mkdir()
    experts = {
        "model_type": "qwen3_moe",
        "num_experts": 4,
        "moe_intermediate_size": 32,
        "hidden_size": config["hidden_size"],
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "num_key_value_heads": 4,
        "vocab_size": 100,
    }
    (folder / "config.json").write_text(json.dumps(experts))
    made = plan(f"model.path={folder}")
    assert "every expert of the mixture sees every token" in made.assumptions
    assert made.setup.shape.matrices > 4 * 3 * 32 * 96 * 2


def test_a_reference_adds_a_whole_copy(plan):
    bare, kept = plan(), plan("reference=initial")
    copies = kept.at("update") - bare.at("update")
    assert copies == bare.setup.training.weight_bytes
    assert replace(kept.setup.training, frozen_copies=0) == bare.setup.training
