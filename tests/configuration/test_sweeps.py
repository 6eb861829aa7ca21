"""A job's folder in a sweep: short, its own, and the same whatever else is in the sweep."""

import sys

import pytest
from hydra import compose, initialize_config_dir
from hydra.core.global_hydra import GlobalHydra
from hydra.core.hydra_config import HydraConfig
from hydra.types import RunMode
from hypothesis import given
from hypothesis import strategies as st

from p2o.cli.settings import TrainSettings
from p2o.cli.train import main
from p2o.configuration.build import CONFIG_NAME, conf_directory
from p2o.configuration.commandline import read_arguments
from p2o.configuration.jobs import jobs_of
from p2o.configuration.overrides import check_overrides
from p2o.configuration.sweeps import LONGEST, job_folder, sweep_name


@given(st.text(max_size=300))
def test_a_name_is_one_that_any_file_system_takes(settings):
    name = job_folder(settings)
    assert 0 < len(name) <= LONGEST
    assert name.isascii()
    assert not set(name) & set("/\\:*?\"<>| '\n")
    assert name not in (".", "..")


def test_what_is_cut_off_a_long_name_is_seldom_what_jobs_differ_in():
    same = "data.batch=8,data.source.held_out=50,data.source.train=[a,b],distillation=no_crm"
    name = job_folder(f"{same},optimizer.lr=0.0001,seed=3,trainer.max_epochs=5")
    assert name.startswith("distillation=no_crm,seed=3,data.batch=8,data.source.held_out=50,")


@given(st.lists(st.text(alphabet="ab/=, .-", max_size=120), min_size=2, max_size=6, unique=True))
def test_other_settings_have_another_name(settings):
    assert len({job_folder(each) for each in settings}) == len(settings)


def test_jobs_of_a_sweep_share_a_name_and_other_runs_have_none():
    jobs = {sweep_name(RunMode.MULTIRUN, f"runs/sweeps/{job}") for job in ("seed=0", "seed=1")}
    assert jobs == {"sweeps"}
    assert sweep_name(RunMode.RUN, "runs/default/today") is None
    assert sweep_name(None, "runs/default/today") is None


@pytest.mark.parametrize(("mode", "group"), [("MULTIRUN", "mine"), ("RUN", None)])
def test_wandb_has_the_jobs_of_a_sweep_in_one_group(mode, group):
    folder = "hydra.runtime.output_dir=runs/mine/job"
    with initialize_config_dir(version_base="1.3", config_dir=str(conf_directory())):
        overrides = ["logger=wandb", f"hydra.mode={mode}", folder]
        config = compose(CONFIG_NAME, overrides=overrides, return_hydra_config=True)
        HydraConfig.instance().set_config(config)
        found = config.logger.wandb.group
    HydraConfig.instance().cfg = None
    assert found == group


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


@pytest.mark.slow
def test_a_sweep_prints_and_names_no_key(sweep):
    [name] = sweep("seed=1", "+model.options.hub_token=k3y-of-mine")
    assert "k3y" not in name
    assert "hub_token" in name


@pytest.mark.slow
def test_a_sweep_with_more_arms_and_seeds_finds_its_jobs_again(sweep, tmp_path):
    folder = tmp_path / ("long/" * 60)
    first = sweep("seed=1", f"data_root={folder}", "distillation=no_crm")
    again = sweep(
        "seed=0,1", f"data_root={folder}", "distillation=success_only,no_crm", "resume=auto"
    )
    assert len(first) == 1
    assert first < again
    assert len(again) == 4


@pytest.mark.slow
@pytest.mark.parametrize(
    ("settings", "line"),
    [
        ("optimizer.lr=0.001,-1", "optimizer: cannot make torch.optim.AdamW (Invalid learning ra"),
        ("data.batch=16,8 data.mini_batch=8,16", "data.mini_batch=16 is above data.batch=8"),
        ("seed=0,1 resume=auto", "resume=auto needs a folder that is the same at every start"),
        ("verifier=function verifier.path=math:sqrt,math:nothing", "verifier.path=math:sqrt"),
        ("seed=0,1 sampling.train.top_p=1,0.5", "sampling.train.top_p=0.5: training takes the"),
    ],
    ids=lambda value: value.split()[0],
)
def test_what_a_later_job_would_refuse_is_found_before_the_first(
    settings, line, tmp_path, monkeypatch, capsys
):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", ["p2o-train", "-m", *settings.split()])
    with pytest.raises(SystemExit) as stopped:
        main()
    assert stopped.value.code == 2
    assert capsys.readouterr().err.startswith(f"error: {line}")
    assert not list(tmp_path.iterdir())


def test_all_jobs_of_a_small_sweep_are_looked_at_and_of_a_large_one_every_value():
    seen: list[tuple[int, int]] = []

    def note(config):
        seen.append((config.seed, config.data.batch))

    check_overrides(["-m", "seed=0,1", "data.batch=16,32"], "train", TrainSettings, note)
    assert sorted(seen) == [(0, 16), (0, 32), (1, 16), (1, 32)]
    line = ["-m", "seed=range(100)", "data.batch=range(16,26)"]
    settings = jobs_of(read_arguments(line, "train"))
    jobs = [dict(setting.split("=") for setting in job) for job in settings]
    assert len(jobs) < 200
    assert {job["seed"] for job in jobs} == set(map(str, range(100)))
    assert {job["data.batch"] for job in jobs} == set(map(str, range(16, 26)))
