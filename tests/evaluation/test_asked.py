"""An evaluation asks for the form that its verifier reads, and what it has asked is on record."""

import json

import pytest
import yaml
from omegaconf import OmegaConf

from p2o.cli.as_trained import as_trained
from p2o.cli.assembly import asked_suffix
from p2o.configuration.overrides import as_running, compose_config
from p2o.evaluation.completions import read_completions
from tests.families import make_model
from tests.rollout.tokenizers_of_kinds import byte_level

REAL = "model.path=Qwen/Qwen3-4B"
BOXED = "\n\nThink step by step, and put the final answer into \\boxed{}."
LINE = (
    "\n\nThink step by step. End with a line that begins with 'Answer:' and gives the result as a "
    "number."
)


def compose(*settings, name="eval"):
    with as_running(compose_config(settings, name)) as config:
        return config


@pytest.mark.parametrize(
    ("settings", "asked"),
    [
        # The paper's protocol.
        ([REAL], BOXED),
        ([REAL, "verifier=numeric"], LINE),
        ([REAL, "verifier=numeric", "renderer.suffix=' Go!'"], " Go!"),
        ([REAL, "verifier=numeric", "renderer.suffix="], ""),
        (["verifier=numeric"], ""),
    ],
)
def test_it_asks_for_what_the_verifier_reads(settings, asked):
    assert asked_suffix(compose(*settings)) == asked


def test_of_a_run_the_policy_is_asked_that_was_trained(tmp_path):
    (tmp_path / ".hydra").mkdir()
    run = compose(REAL, "verifier=numeric", "renderer.suffix=' Go!'", name="train")
    OmegaConf.save(run, tmp_path / ".hydra" / "config.yaml")
    settings = [f"run={tmp_path}"]
    assert asked_suffix(as_trained(compose(*settings), settings)) == " Go!"
    settings += ["verifier=math", "renderer.suffix=null"]
    assert asked_suffix(as_trained(compose(*settings), settings)) == BOXED


@pytest.mark.slow
def test_what_was_asked_is_on_record(forks, tmp_path):
    tokenizer = byte_level()
    model = make_model("llama", len(tokenizer), max_position_embeddings=512)
    model.save_pretrained(tmp_path / "policy")
    tokenizer.save_pretrained(tmp_path / "policy")
    given = ("model.path=policy", "suite=digits", "limit=1", "verifier=numeric")
    lengths = ("max_prompt_tokens=400", "max_new_tokens=4")
    done = forks.run("p2o.cli.eval", [*given, *lengths, "hydra.run.dir=out"], tmp_path)
    assert done.returncode == 0, done.stderr
    [row] = read_completions(tmp_path / "out")
    assert f"{LINE}<|im_end|>" in row["prompt"]
    results = json.loads((tmp_path / "out" / "results.json").read_text())
    identity = json.loads((tmp_path / "out" / "completions" / "settings.json").read_text())
    record = yaml.safe_load((tmp_path / "out" / ".hydra" / "config.yaml").read_text())
    for said in (results["configuration"], identity, record):
        assert said["renderer"]["suffix"] == LINE
