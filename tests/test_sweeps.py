"""A job's folder in a sweep: short, its own, and the same whatever else is in the sweep."""

import sys

import pytest
from hydra.core.global_hydra import GlobalHydra
from hydra.core.hydra_config import HydraConfig
from hypothesis import given
from hypothesis import strategies as st

from p2o.sweeps import LONGEST, job_folder
from p2o.train import main


@given(st.text(max_size=300))
def test_a_name_is_one_that_any_file_system_takes(settings):
    name = job_folder(settings)
    assert 0 < len(name) <= LONGEST
    assert name.isascii()
    assert not set(name) & set("/\\:*?\"<>| '\n")
    assert name not in (".", "..")


@given(st.lists(st.text(alphabet="ab/=, .-", max_size=120), min_size=2, max_size=6, unique=True))
def test_other_settings_have_another_name(settings):
    assert len({job_folder(each) for each in settings}) == len(settings)


@pytest.fixture
def sweep(tmp_path, monkeypatch, capsys):
    """Names of the folders that a sweep makes; nothing is trained."""
    monkeypatch.chdir(tmp_path)

    def run(*arguments: str) -> set[str]:
        command = ["p2o-train", "-m", "plan=true", "hydra.sweep.dir=sweep", *arguments]
        monkeypatch.setattr(sys, "argv", command)
        main()
        shown = capsys.readouterr()
        assert "#0 : " in shown.out
        assert "k3y" not in shown.out + shown.err
        return {path.name for path in (tmp_path / "sweep").iterdir() if path.is_dir()}

    yield run
    GlobalHydra.instance().clear()
    HydraConfig.instance().cfg = None


def test_a_sweep_prints_and_names_no_key(sweep):
    [name] = sweep("seed=1", "+model.options.hub_token=k3y-of-mine")
    assert "k3y" not in name
    assert "hub_token" in name


def test_a_sweep_with_more_arms_and_seeds_finds_its_jobs_again(sweep, tmp_path):
    folder = tmp_path / ("long/" * 60)
    first = sweep("seed=1", f"data_root={folder}", "distillation=no_crm")
    again = sweep(
        "seed=0,1", f"data_root={folder}", "distillation=success_only,no_crm", "resume=auto"
    )
    assert len(first) == 1
    assert first < again
    assert len(again) == 4
