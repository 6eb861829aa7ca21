"""No key that a configuration or a service holds is written or shown."""

import json
import subprocess
import sys
from typing import Any

import pytest
import yaml
from hydra import compose, initialize_config_dir
from omegaconf import OmegaConf

from p2o.configuration.build import build, conf_directory
from p2o.configuration.sweeps import job_folder
from p2o.errors import UserError
from p2o.running.secrets import (
    HIDDEN,
    hide,
    hide_in_run,
    hide_settings,
    hiding,
    plain_config,
    without_secrets,
)
from tests.servers import answer, misbehaving

KEY = "k3y-of-mine-0815"
GIVEN = {
    "a header": {"verifier": {"headers": {"X-Anything": KEY}}},
    "a header behind its scheme": {"verifier": {"headers": {"Authorization": f"Bearer {KEY}"}}},
    "headers of a part": {"verifier": {"parts": [{"verifier": {"request_headers": {"a": KEY}}}]}},
    "a name": {"reflection": {"api_key": KEY}},
    "another name": {"logger": {"wandb": {"apiKey_password": KEY}}},
    "a token": {"model": {"options": {"token": KEY}}},
    "a token of a hub": {"model": {"options": {"hf_token": KEY}}},
    "a number": {"reflection": {"password": 47110815}},
    "an address": {"rollout": {"urls": ["http://node:1", f"http://me:{KEY}@node:2/v1"]}},
    "a query": {"verifier": {"url": f"http://node/score?api_key={KEY}&x=1"}},
    "its form": {"rollout": {"options": {"x": "sk-abcdefghijklmnop" + KEY}}},
    "its scheme": {"rollout": {"options": [f"Authorization: Bearer {KEY}"]}},
    "an address with @ in it": {"rollout": {"urls": [f"http://me:p@{KEY}@node:2/v1"]}},
    "an address with ' in it": {"verifier": {"url": f"http://me:it's{KEY}@node/v1"}},
    "an address with / in it": {"verifier": {"url": f"http://me:pa/ss@{KEY}@node/v1"}},
    "a user alone": {"verifier": {"url": f"http://{KEY}@node/v1"}},
    "a mapping of keys": {"rollout": {"api_keys": {"node": KEY}}},
    **{
        f"the name {name}": {"x": {name: KEY}}
        for name in (
            *("secret_key", "aws_secret_access_key", "hub_token", "wandb_token", "REWARD_TOKEN"),
            *("REWARD_KEY", "db_pwd", "pass", "bearer", "api_keys", "secretKey", "accessToken"),
        )
    },
    "a default of the environment": {"reflection": {"api_key": "${oc.env:NOWHERE," + KEY + "}"}},
}


def clear(text):
    return any(secret in text for secret in (KEY, "47110815"))


@pytest.mark.parametrize("given", GIVEN.values(), ids=GIVEN)
def test_a_key_that_is_given_in_clear_is_not_written(given):
    written = json.dumps(plain_config(OmegaConf.create({"seed": 3, **given})))
    assert not clear(written)
    assert HIDDEN in written
    assert json.loads(written)["seed"] == 3


REFERENCES = ["${oc.env:P2O_KEY}", "Bearer ${oc.env:P2O_KEY}", "${file:KEYFILE}"]


@pytest.mark.parametrize("reference", REFERENCES)
def test_a_reference_to_a_key_stays_as_it_is_and_gives_the_key_to_the_part(
    monkeypatch, tmp_path, reference
):
    monkeypatch.setenv("P2O_KEY", KEY)
    (tmp_path / "key").write_text(f"{KEY}\n")
    reference = reference.replace("KEYFILE", str(tmp_path / "key"))
    part = {"_target_": "builtins.dict", "headers": {"Authorization": reference}}
    config = OmegaConf.create({"verifier": part, "same": "${verifier.headers.Authorization}"})
    written = plain_config(config)
    assert written["verifier"]["headers"]["Authorization"] == reference
    assert written["same"] == reference
    assert build(config.verifier, "verifier")["headers"]["Authorization"].endswith(KEY)


@pytest.mark.parametrize("reference", ["${oc.env:P2O_NOWHERE}", "${file:/nowhere/key}"])
def test_a_reference_that_leads_nowhere_is_named(reference):
    node = OmegaConf.create({"_target_": "builtins.dict", "key": reference})
    with pytest.raises(UserError, match=r"verifier\.key: .*(P2O_NOWHERE|/nowhere/key)"):
        build(node, "verifier")


@pytest.mark.parametrize("name", ["train", "eval"])
def test_what_is_no_secret_is_written_as_it_is(name):
    with initialize_config_dir(version_base="1.3", config_dir=str(conf_directory())):
        more = ["verifier=http_service", "verifier.url=http://node:8000/score"]
        if name == "train":
            more += ["reflection=teacher", "reflection.base_url=https://host/v1"]
            more += ["reflection.model=x", "logger=wandb"]
        config = compose(name, overrides=more)
    config.verifier.headers = {"Accept": "text/html"}
    # Places are known to a run alone, and so is what is made of them.
    text = OmegaConf.to_yaml(config)
    for resolver in ("${hydra:", "${p2o.sweep_name:"):
        text = text.replace(resolver, resolver.replace("$", "$ "))
    config: Any = OmegaConf.create(text)
    assert plain_config(config) == OmegaConf.to_container(config, resolve=True)


ADDRESS = "http://node:8000/score?user=a@b"


@pytest.mark.parametrize(
    "text",
    [
        "in basic arithmetic 2 + 2 = 4",
        "write to a@b.org, or http://host/path?x=1",
        "differ by 0.3 nats a token, more than 0.1",
        "max_tokens: 4096, eos_token: <|im_end|>",
        "risk-averse-people-and-others",
    ],
)
def test_ordinary_text_is_left_alone(text):
    assert hide(text) == text
    kept = {"max_new_tokens": 3, "pad_token": "[PAD]", "question_key": "text", "url": ADDRESS}
    assert without_secrets(kept) == kept
    kept = {"max_tokens": 3, "eos_token": "</s>", "monkey": "x", "api_key_variable": "MY_KEY"}
    assert without_secrets({**kept, "text": text}) == {**kept, "text": text}


def test_a_value_that_is_too_short_for_a_secret_hides_no_other_text():
    given = {"verifier": {"headers": {"X-Version": "1"}}, "experiment": "run 1 of 10"}
    written = hiding(OmegaConf.create(given))(given)
    assert written == {"verifier": {"headers": {"X-Version": HIDDEN}}, "experiment": "run 1 of 10"}


def test_the_files_that_hydra_has_written_lose_keys_and_nothing_else(tmp_path):
    config = OmegaConf.create(
        {"verifier": {"url": "http://x", "headers": {"X-Key": KEY}}, "data": "${verifier.url}"}
    )
    override = f"verifier.headers={{X-Key:{KEY}}}"
    job = {"output_dir": str(tmp_path), "cwd": "/somewhere"}
    hydra = OmegaConf.create(
        {
            "runtime": job,
            "output_subdir": ".hydra",
            "sweep": {"dir": str(tmp_path / "sweep")},
            "overrides": {"task": [override, "seed=1"]},
        }
    )
    (tmp_path / ".hydra").mkdir()
    (tmp_path / "sweep").mkdir()
    OmegaConf.save(config, tmp_path / ".hydra" / "config.yaml")
    OmegaConf.save({"hydra": hydra}, tmp_path / ".hydra" / "hydra.yaml")
    OmegaConf.save(OmegaConf.create([override, "seed=1"]), tmp_path / ".hydra" / "overrides.yaml")
    OmegaConf.save({"hydra": hydra, **config}, tmp_path / "sweep" / "multirun.yaml")
    hide_in_run(config, hydra)
    files = [*(tmp_path / ".hydra").iterdir(), tmp_path / "sweep" / "multirun.yaml"]
    assert len(files) == 4
    assert not any(clear(path.read_text()) for path in files)
    kept = yaml.safe_load((tmp_path / ".hydra" / "config.yaml").read_text())
    assert kept["data"] == "${verifier.url}"
    overrides = yaml.safe_load((tmp_path / ".hydra" / "overrides.yaml").read_text())
    assert overrides == ["verifier.headers={X-Key:***}", "seed=1"]
    assert OmegaConf.load(tmp_path / ".hydra" / "hydra.yaml").hydra.runtime == job


SETTINGS = {
    f"verifier.headers={{X-Reward-Key:{KEY}}},seed=1": "verifier.headers=***,seed=1",
    f"+verifier={{url:a,headers:{{X:'{KEY}, b'}}}} a=1": "+verifier={url:a,headers:***} a=1",
    f"x.headers.X-Key=Bearer {KEY}== seed=1": "x.headers.X-Key=*** seed=1",
    f"x.headers.X-Key=a\\,{KEY} seed=1": "x.headers.X-Key=*** seed=1",
    f"model.hub_token='{KEY}',x=2": "model.hub_token=***,x=2",
    f"+hydra.job.env_set.REWARD_TOKEN={KEY}": "+hydra.job.env_set.REWARD_TOKEN=***",
    f"verifier.url=http://u:{KEY}@h:80/x seed=1": "verifier.url=http://***@h:80/x seed=1",
    "sampling.train.max_new_tokens=24 seed=1": "sampling.train.max_new_tokens=24 seed=1",
    "x.headers.X-Key=${oc.env:REWARD_KEY}": "x.headers.X-Key=${oc.env:REWARD_KEY}",
}


@pytest.mark.parametrize(("settings", "shown"), SETTINGS.items())
def test_settings_of_a_sweep_are_shown_without_keys(settings, shown):
    assert hide_settings(settings) == shown
    assert KEY not in job_folder(settings)
    assert job_folder(f"{settings}2") != job_folder(f"{settings}3")


def test_a_variable_that_hydra_sets_is_not_written(tmp_path):
    setting = f"+hydra.job.env_set.REWARD_TOKEN={KEY}"
    hydra = OmegaConf.create(
        {
            "runtime": {"output_dir": str(tmp_path)},
            "output_subdir": None,
            "job": {"env_set": {"REWARD_TOKEN": KEY}},
            "sweep": {"dir": str(tmp_path)},
            "overrides": {"hydra": [setting]},
        }
    )
    OmegaConf.save({"hydra": hydra}, tmp_path / "multirun.yaml")
    hide_in_run(OmegaConf.create({"seed": 1}), hydra)
    assert KEY not in (tmp_path / "multirun.yaml").read_text()


@pytest.mark.slow
def test_a_log_of_everything_has_no_address_that_was_asked():
    program = f"""
import logging
import httpx
from p2o.running.console import quieten_libraries
logging.basicConfig(level=logging.DEBUG)
quieten_libraries()
transport = httpx.MockTransport(lambda request: httpx.Response(200))
with httpx.Client(transport=transport) as client:
    print(client.get("http://me:{KEY}@node/score?api_key={KEY}").status_code)
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert done.stdout == "200\n", done.stderr
    assert not clear(done.stderr)


HEADERS = f"verifier.headers={{X-Reward-Key:{KEY}}}"
SMALL = (
    "data.source.train=4",
    "data.source.held_out=2",
    "data.batch=4",
    "data.mini_batch=4",
    "evolution=none",
    "trainer.max_epochs=1",
    "save_policy=null",
)


@pytest.mark.slow
def test_a_run_leaves_no_key_behind(p2o_train, tmp_path):
    def reward(connection, path, asked):
        answer(connection, {"scores": [0.0] * len(asked["responses"])})

    with misbehaving(reward) as service:
        url = service.url.replace("://", f"://me:{KEY}@")
        place = "hydra.run.dir=run", "resume=auto"
        given = *SMALL, "verifier=http_service", f"verifier.url={url}", HEADERS, "logger=wandb"
        # The second start goes on with what the first has left.
        starts = [p2o_train(*given, *place, f"trainer.max_epochs={last}") for last in (1, 2)]
        assert service.requests[-1][1]["x-reward-key"] == KEY
    for done in starts:
        assert done.returncode == 0, done.stderr
    assert "going on from" in starts[1].stderr
    files = [path for path in (tmp_path / "run").rglob("*") if path.is_file()]
    names = {path.name for path in files}
    assert {"summary.json", "config.yaml", "overrides.yaml", "hydra.yaml"} <= names
    assert len([path for path in files if path.suffix == ".wandb"]) == 2
    texts = [path.read_text(errors="replace") for path in files]
    said = [text for done in starts for text in (done.stdout, done.stderr)]
    assert not any(clear(text) for text in [*said, *texts])


@pytest.mark.slow
def test_a_run_that_is_refused_says_no_key(p2o_train):
    address = f"verifier.url=http://me:{KEY}@127.0.0.1:9/score"
    done = p2o_train("verifier=http_service", address, HEADERS, "verifier.attempts=1")
    assert done.returncode == 2
    assert "verifier.url=http://***@127.0.0.1:9/score: ConnectError" in done.stderr
    assert not clear(done.stdout + done.stderr)
