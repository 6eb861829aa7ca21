"""Every arm and every bench that comes with p2o composes, and p2o-train takes its settings."""

from typing import Any

import pytest
from hydra import compose, initialize_config_dir
from omegaconf import OmegaConf

from p2o.bench.arms import make_arms, make_runs
from p2o.bench.claims import check_claims
from p2o.bench.settings import BenchSettings
from p2o.cli.bench import OF_ALL_RUNS
from p2o.cli.settings import EvalSettings, TrainSettings
from p2o.configuration.build import conf_directory
from p2o.configuration.misnamed import options_of
from p2o.configuration.overrides import check_overrides

pytestmark = pytest.mark.slow

ARMS, BENCHES = options_of("arm", None), options_of("bench", None)
# Values that only a user can give.
GIVEN = {"p2o_teacher": ["reflection.base_url=http://localhost/v1", "reflection.model=any"]}


def settings(*overrides) -> Any:
    with initialize_config_dir(version_base="1.3", config_dir=str(conf_directory())):
        return OmegaConf.to_container(
            compose("bench", overrides=[*overrides, "folder=runs"]), resolve=True
        )


@pytest.mark.parametrize("name", ARMS)
def test_p2o_train_takes_every_arm(name, tmp_path):
    check_overrides([f"arm={name}", "folder=runs"], "bench", BenchSettings)
    [arm] = make_arms(settings(f"arm={name}")["arms"])
    assert arm.name == name
    [run] = make_runs([arm], [0], tmp_path, OF_ALL_RUNS)
    check_overrides([*run.overrides, *GIVEN.get(name, [])], settings=TrainSettings)
    if arm.evaluation is not None:
        check_overrides(arm.evaluation, "eval", EvalSettings)


@pytest.mark.parametrize("name", BENCHES)
def test_every_bench_composes_with_claims_about_arms_that_it_has(name, tmp_path):
    check_overrides([f"bench={name}", "folder=runs"], "bench", BenchSettings)
    found = settings(f"bench={name}")
    check_claims(found["claims"], found["arms"])
    for run in make_runs(make_arms(found["arms"]), [0], tmp_path, found["overrides"]):
        check_overrides(run.overrides, settings=TrainSettings)


def test_labels_tell_arms_apart():
    labels = [arm.label for arm in make_arms(settings(f"arm=[{','.join(ARMS)}]")["arms"])]
    assert len(set(labels)) == len(labels) == len(ARMS)
