"""The files that package, publish and test p2o name things that there are."""

import json
import re
import shlex
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml
from dockerfile_parse import DockerfileParser

from tests.patience import HANGS

HOME = Path(__file__).parents[1]
WORKFLOWS = sorted((HOME / ".github" / "workflows").glob("*.yml"))
MAKEFILE = (HOME / "Makefile").read_text()
PROJECT = tomllib.loads((HOME / "pyproject.toml").read_text())["project"]


def targets() -> set[str]:
    return set(re.findall(r"^([a-z][a-z-]*):", MAKEFILE, re.MULTILINE))


def instructions(tmp_path: Path) -> list[Any]:
    parser = DockerfileParser(path=str(tmp_path))
    parser.content = (HOME / "Dockerfile").read_text()
    return [step for step in parser.structure if step["instruction"] != "COMMENT"]


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.stem)
def test_a_workflow_is_one(path):
    done = subprocess.run(
        [sys.executable, "-m", "check_jsonschema", "--builtin-schema", "vendor.github-workflows"]
        + [str(path)],
        capture_output=True,
        text=True,
        timeout=HANGS,
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_workflows_call_targets_of_the_makefile_and_files_that_there_are():
    called = set()
    for path in WORKFLOWS:
        for job in yaml.safe_load(path.read_text())["jobs"].values():
            for step in job["steps"]:
                called |= set(re.findall(r"make ([\w-]+)", step.get("run", "")))
                files = step.get("with", {}).get("cache-dependency-path")
                assert files is None or list(HOME.glob(files)), files
    assert called == {"test", "docs", "slice", "wheels"}
    assert called <= targets()


def test_what_make_installs_runs_the_experiments_that_it_names():
    pinned = (HOME / "requirements" / "runtime.txt").read_text()
    extras = PROJECT["optional-dependencies"]
    # An adapter, and weights in a file of make demo-real.
    for extra in ("lora", "gguf"):
        for need in extras[extra]:
            assert f"\n{re.split('[^a-z0-9-]', need)[0]}==" in f"\n{pinned}", need


def test_a_release_needs_no_key_and_only_its_last_job_may_publish():
    release = yaml.safe_load((HOME / ".github" / "workflows" / "release.yml").read_text())
    writing = {name for name, job in release["jobs"].items() if "permissions" in job}
    assert writing == {"publish"}
    assert release["jobs"]["publish"]["permissions"] == {"id-token": "write"}
    assert "secrets." not in json.dumps(release)


def test_the_dockerfile_has_steps_that_docker_knows(tmp_path):
    steps = instructions(tmp_path)
    names = [step["instruction"] for step in steps]
    assert names[0] == "FROM"
    assert set(names) == {"FROM", "RUN", "COPY", "USER", "WORKDIR", "CMD"}
    [base] = [step["value"] for step in steps if step["instruction"] == "FROM"]
    assert base == "python:3.11-slim"
    assert PROJECT["requires-python"] == ">=3.11"
    [command] = [json.loads(step["value"]) for step in steps if step["instruction"] == "CMD"]
    assert set(command) <= set(PROJECT["scripts"])
    # What is installed at the user's wish is installed before: the program runs as nobody special.
    assert names.index("USER") > max(i for i, name in enumerate(names) if name == "RUN")


def test_each_step_of_the_dockerfile_is_a_shell_command(tmp_path):
    for step in instructions(tmp_path):
        if step["instruction"] == "RUN":
            subprocess.run(["sh", "-n", "-c", step["value"]], check=True)
            assert shlex.split(step["value"])


def test_the_image_has_the_torch_that_tests_run_with(tmp_path):
    pins = {
        pin
        for step in instructions(tmp_path)
        for pin in re.findall(r"torch==([\d.]+)", step["value"])
    }
    assert pins == set(re.findall(r"torch==([\d.]+)", MAKEFILE))


@pytest.mark.slow
def test_what_the_dockerfile_copies_is_enough_to_build_and_nothing_of_it_is_missing(tmp_path):
    image = tmp_path / "image"
    for step in instructions(tmp_path):
        if step["instruction"] != "COPY":
            continue
        *sources, target = step["value"].split()
        for source in sources:
            place = image / target.lstrip("/")
            if (HOME / source).is_dir():
                ignored = shutil.ignore_patterns("__pycache__")
                shutil.copytree(HOME / source, place, ignore=ignored)
            else:
                place = place / source if target.endswith("/") else place
                place.parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(HOME / source, place)
    assert (image / "tmp" / "requirements" / "runtime.txt").is_file()
    build = ["-m", "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation", "-w", tmp_path]
    done = subprocess.run(
        [sys.executable, *map(str, build), str(image / "tmp" / "p2o")],
        capture_output=True,
        text=True,
        timeout=HANGS,
    )
    assert done.returncode == 0, done.stderr
    assert list(tmp_path.glob("p2o_rl-*.whl"))
