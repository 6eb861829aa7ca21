"""Presets for a real model are whole: rate, suffix, reflection, budgets and limits fit together."""

import pytest
from omegaconf import DictConfig

from p2o.cli.assembly import asked_suffix
from p2o.cli.rehearsal import rehearse
from p2o.cli.training import warn_of_the_rate
from p2o.configuration.build import build
from p2o.configuration.overrides import as_running, compose_config
from p2o.errors import UserError

PRESETS = ("gsm8k", "own_file")


@pytest.fixture
def compose(monkeypatch, tmp_path):
    """Compose with settings; files of the user's are there, and a GPU is not needed."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "rows.jsonl").write_text('{"question": "1 + 1?", "answer": "2"}\n')
    (tmp_path / "my_rewards.py").write_text("def reward(completion, answer): return 1.0\n")

    def make(*settings: str) -> DictConfig:
        with as_running(compose_config(settings, "train")) as config:
            return config

    return make


def preset(name: str) -> list[str]:
    own = ["data.source.path=rows.jsonl", "verifier.path=my_rewards.py:reward"]
    return [f"experiment={name}", *(own if name == "own_file" else [])]


@pytest.mark.parametrize("name", PRESETS)
def test_every_part_of_a_preset_fits_a_real_model(compose, name):
    config = compose(*preset(name), "trainer=cpu")
    with as_running(compose_config([*preset(name), "trainer=cpu"], "train")) as own:
        rehearse(own)
    assert config.model.path == "Qwen/Qwen3-4B"
    assert config.reflection._target_.endswith("SelfReflection")
    assert config.sampling.train.max_new_tokens == 512
    assert config.data.max_prompt_tokens == 1024
    budget = config.evolution.evolver
    assert budget.minimum <= budget.dev_size


@pytest.mark.slow
@pytest.mark.parametrize("name", PRESETS)
@pytest.mark.parametrize(("adapter", "rate"), [("full", 1e-6), ("lora", 1e-5)])
def test_the_rate_is_that_of_what_is_trained(compose, name, adapter, rate):
    config = compose(*preset(name), f"model/adapter={adapter}")
    assert config.optimizer.lr == pytest.approx(rate)
    assert compose(*preset(name), "optimizer.lr=1.0e-4").optimizer.lr == pytest.approx(1e-4)


def test_the_prompt_asks_for_what_the_verifier_reads(compose):
    sentence = asked_suffix(compose("experiment=gsm8k"))
    assert sentence.startswith("\n\nThink step by step. End with a line that begins with 'Answer:'")
    assert asked_suffix(compose("experiment=gsm8k", "verifier=boxed_math")).endswith(r"\boxed{}.")
    own = compose(*preset("own_file"), "verifier._asks_=Give one word.")
    assert asked_suffix(own) == "\n\nGive one word."
    assert asked_suffix(compose(*preset("own_file"))) == ""


def test_a_suffix_that_is_given_is_the_suffix(compose):
    assert asked_suffix(compose("experiment=gsm8k", "renderer.suffix=' Go!'")) == " Go!"
    assert asked_suffix(compose("experiment=gsm8k", "renderer.suffix=")) == ""


@pytest.mark.parametrize("settings", [[], ["data=svamp"], ["verifier=math"]])
def test_the_embedded_policy_is_asked_as_it_was_trained(compose, settings):
    assert asked_suffix(compose(*settings)) == ""


def test_a_verifier_with_a_sentence_is_made_without_it(compose):
    verifier = compose("verifier=numeric").verifier
    assert verifier._asks_
    assert type(build(verifier, "verifier")).__name__ == "Numeric"


def test_the_sentence_has_to_be_a_text(compose):
    with pytest.raises(UserError, match=r"^verifier\._asks_=5: give a text$"):
        build(compose("verifier._asks_=5").verifier, "verifier")


EMBEDDED_PHRASES = r"^model\.path=Qwen/Qwen3-4B: reflection=phrasebook has phrases of the embedded"


@pytest.mark.slow
def test_a_real_model_does_not_get_the_phrases_of_the_embedded_world(compose, tmp_path):
    settings = ["model=qwen3_4b", "data=svamp"]
    with (
        as_running(compose_config(settings, "train")) as config,
        pytest.raises(UserError, match=EMBEDDED_PHRASES),
    ):
        rehearse(config)
    (tmp_path / "mine.txt").write_text("Go slowly.\n")
    for way in ("reflection=self", "reflection.path=mine.txt", "evolution=none"):
        with as_running(compose_config([*settings, way], "train")) as config:
            rehearse(config)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("settings", "warned"),
    [
        (["model=qwen3_4b", "data=svamp", "reflection=self"], True),
        (["model=qwen3_4b", "data=svamp", "reflection=self", "model/adapter=lora"], False),
        (["experiment=gsm8k", "trainer=cpu"], False),
        ([], False),
    ],
    ids=["all weights", "adapter", "preset", "embedded"],
)
def test_a_rate_for_the_embedded_policy_is_told_of_where_a_language_model_gets_it(
    settings, warned, compose, caplog
):
    with as_running(compose_config(settings, "train")) as config:
        warn_of_the_rate(config)
    assert ("optimizer.lr=0.0002: all weights of Qwen/Qwen3-4B" in caplog.text) is warned


@pytest.mark.slow
@pytest.mark.parametrize("model", ["digits", "digits_decisive", "digits_willing"])
def test_the_embedded_policies_do(model):
    with as_running(compose_config([f"model={model}"], "train")) as config:
        rehearse(config)


def test_reliance_is_asked_for_where_it_is_measured():
    with as_running(compose_config(["assignment=least_reliance"], "train")) as config:
        rehearse(config)
    settings = ["assignment=least_reliance", "distillation=success_only"]
    with (
        as_running(compose_config(settings, "train")) as config,
        pytest.raises(UserError, match="reliance is not known; take distillation=tapered"),
    ):
        rehearse(config)


@pytest.mark.slow
@pytest.mark.parametrize("settings", [["distillation=reverse_kl"], ["distillation.told=null"]])
def test_what_lets_hints_grade_is_refused_where_there_are_none(settings):
    alone = ["distillation=sibling_context", "evolution=none"]
    for fine in (alone, alone[:1], ["distillation=reverse_kl"]):
        with as_running(compose_config(fine, "train")) as config:
            rehearse(config)
    with (
        as_running(compose_config([*alone, *settings], "train")) as config,
        pytest.raises(UserError, match="^evolution=none: .* take distillation=sibling_context"),
    ):
        rehearse(config)
