"""One run works in a folder at a time, and a refused one leaves its record alone."""

import subprocess
import sys
from typing import Any

import pytest
from hydra import compose, initialize_config_dir
from hydra.core.hydra_config import HydraConfig
from omegaconf import OmegaConf, open_dict

from p2o.configuration.build import conf_directory
from p2o.errors import UserError
from p2o.running.run_folder import leave_nothing, one_run_in, record_configuration

HOLD = """
import sys
from pathlib import Path
from p2o.running.run_folder import one_run_in
with one_run_in(Path(sys.argv[1])):
    print("at work", flush=True)
    sys.stdin.read()
"""


@pytest.mark.slow
def test_a_second_run_is_kept_out_until_the_first_has_ended_even_by_a_kill(tmp_path):
    first = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(tmp_path)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert first.stdout is not None
    assert first.stdout.readline() == "at work\n"
    said = rf"{tmp_path}: another run is at work here \(process {first.pid}\); stop it first"
    with pytest.raises(UserError, match=said), one_run_in(tmp_path):
        pytest.fail("two runs in one folder")
    first.kill()
    first.wait()
    with one_run_in(tmp_path), one_run_in(tmp_path / ".."):
        pass
    with one_run_in(tmp_path):
        pass


def test_the_folder_of_a_refused_run_goes_with_those_that_were_made_for_it(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    run = tmp_path / "runs" / "default" / "today"
    run.mkdir(parents=True)
    (run / ".lock").touch()
    (run / "train.log").touch()
    leave_nothing(run)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("name", ["notes.txt", "checkpoints", ".hydra"])
def test_a_folder_in_which_something_else_is_stays(tmp_path, name):
    run = tmp_path / "run"
    (run / name).mkdir(parents=True)
    (run / "train.log").touch()
    leave_nothing(run)
    assert (run / name).exists()
    assert (run / "train.log").exists()


@pytest.mark.slow
def test_the_folder_of_another_run_stays(tmp_path):
    run = tmp_path / "run"
    run.mkdir()
    with subprocess.Popen(
        [sys.executable, "-c", HOLD, str(run)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == "at work\n"
        leave_nothing(run)
        assert (run / ".lock").read_text() == f"{other.pid}\n"
        other.kill()


def test_the_record_is_hydra_s_without_keys(tmp_path, monkeypatch):
    overrides = ["seed=3", "+verifier.headers.X-Key=sk-0123456789abcdef", "+verifier.note=sk"]
    with initialize_config_dir(version_base="1.3", config_dir=str(conf_directory())):
        everything = compose("train", overrides=overrides, return_hydra_config=True)
    monkeypatch.setattr(HydraConfig.instance(), "cfg", everything)
    config = everything.copy()
    with open_dict(config):
        del config["hydra"]
    record_configuration(tmp_path, config)
    texts = [path.read_text() for path in (tmp_path / ".hydra").iterdir()]
    assert len(texts) == 3
    assert not any("0123456789" in text for text in texts)
    recorded: Any = OmegaConf.load(tmp_path / ".hydra" / "config.yaml")
    assert (recorded.seed, recorded.verifier.note) == (3, "sk")
    # What refers to other settings still does.
    raw: Any = OmegaConf.to_container(recorded)
    assert raw["sampling"]["held_out"]["max_new_tokens"] == "${sampling.train.max_new_tokens}"
    assert OmegaConf.load(tmp_path / ".hydra" / "hydra.yaml").hydra.output_subdir is None
