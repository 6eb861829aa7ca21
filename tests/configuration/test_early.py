"""What is looked at before torch is imported, and what is left for later."""

import re
import subprocess
import sys
from collections.abc import Iterator
from typing import Any, get_args

import pytest
from omegaconf import OmegaConf

from p2o.bench.settings import BenchSettings
from p2o.cli.settings import EvalSettings, TrainSettings
from p2o.configuration.early import early_problems, is_light
from p2o.configuration.files import conf_directory
from p2o.configuration.overrides import as_running, compose_config
from p2o.configuration.sections import Makes, Section, Takes
from p2o.configuration.validation import section_problems
from p2o.constraints import arguments_of

TARGET = re.compile(r"_target_: ([\w.]+)")


def asked(hint: Any) -> Iterator[Takes | Makes]:
    """What a hint asks for, and what those of the sections inside do."""
    if isinstance(hint, Takes | Makes):
        yield hint
    inner = hint.given if isinstance(hint, Takes) else hint
    section = isinstance(inner, type) and issubclass(inner, Section)
    for each in arguments_of(inner).hints.values() if section else get_args(hint):
        yield from asked(each)


ASKED = {each.given: each for kind in (TrainSettings, EvalSettings) for each in asked(Takes(kind))}
NAMED = {name: each for name, each in ASKED.items() if isinstance(name, str)}
OFFERED = {
    name for path in conf_directory().rglob("*.yaml") for name in TARGET.findall(path.read_text())
}


@pytest.mark.parametrize("name", NAMED)
def test_every_name_in_the_settings_stands_for_a_class_or_function(name):
    match NAMED[name]:
        case Takes() as takes:
            assert arguments_of(takes.target).hints
        case Makes() as makes:
            assert isinstance(makes.kind, type)


LOOK = """
import pkgutil
import sys
import p2o.cli.start
for name in sys.argv[1:]:
    pkgutil.resolve_name(name)
print(*(name for name in ("torch", "lightning", "transformers", "datasets") if name in sys.modules))
"""


def test_what_is_light_is_imported_without_torch():
    light = sorted(filter(is_light, OFFERED | set(NAMED)))
    for name in ("p2o.verifiers.Math", "p2o.data.table.Table", "p2o.verifiers.GuardedVerifier"):
        assert name in light
    done = subprocess.run([sys.executable, "-c", LOOK, *light], capture_output=True, text=True)
    assert (done.stderr, done.stdout.split()) == ("", [])


def early(settings: list[str]) -> list[str]:
    with as_running(compose_config(settings, "train")) as config:
        return [problem.text for problem in early_problems(config, TrainSettings)]


def late(settings: list[str]) -> list[str]:
    with as_running(compose_config(settings, "train")) as config:
        return [problem.text for problem in section_problems(config, Takes(TrainSettings))]


@pytest.mark.parametrize(
    "settings",
    [
        ["verifier={_target_:my_package.of_nobody.Rules,seconds:abc}"],
        ["verifier=by_source", "+verifier.verifiers.sums={_target_:my_package.of_nobody.Rules}"],
        ["+callbacks.mine={_target_:my_package.of_nobody.Watch}"],
    ],
    ids=lambda settings: settings[-1],
)
def test_a_class_of_ones_own_is_imported_later(settings):
    assert early(settings) == []
    assert any("my_package" in said for said in late(settings))


def test_of_a_class_of_ones_own_the_ranges_hold_all_the_same():
    [said] = early(["+callbacks.mine={_target_:my_package.of_nobody.Watch,patience:-1}"])
    assert said == "callbacks.mine.patience=-1: give a whole number of at least 0"


@pytest.mark.parametrize(
    "setting",
    [
        # What it is taken from is to blame, and may be looked at later.
        "data.batch=${model.path}",
        "data.batch=${nowhere}",
        # A class of the user's may bring the resolver with it.
        "data.batch=${resolver_of_nobody:}",
        "sampling.train.stop_token_ids=['${resolver_of_nobody:}']",
    ],
)
def test_what_is_taken_from_elsewhere_is_looked_at_later(setting):
    assert early([setting]) == []
    assert late([setting])


def test_a_bench_is_looked_at_whole():
    config = OmegaConf.create({"seeds": "abc"})
    assert list(early_problems(config, BenchSettings)) == list(
        section_problems(config, Takes(BenchSettings))
    )
