"""The Tab key: what README says installs it, and what it offers."""

import os
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from tests.patience import HANGS

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[2]

ENTRY = """#!{python}
import sys
from p2o.cli.start import {function}
sys.argv[0] = "{name}"
{function}()
"""
"""What is installed as a program; its function is that of pyproject.toml."""


@pytest.mark.parametrize(
    ("name", "typed", "whole"),
    [
        ("p2o-train", "distillation=crm", "distillation=crm_soft"),
        ("p2o-eval", "suite=olym", "suite=olympiadbench"),
        ("p2o-bench", "bench=sli", "bench=slice"),
    ],
)
def test_groups_and_options_are_completed_in_bash(tmp_path, name, typed, whole):
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    program, function = tmp_path / name, project["scripts"][name].rpartition(":")[-1]
    program.write_text(ENTRY.format(python=sys.executable, name=name, function=function))
    program.chmod(0o755)
    [install] = [
        line.split("`")[1].replace("p2o-train", name)
        for line in (ROOT / "README.md").read_text().splitlines()
        if "--shell-completion install=bash" in line
    ]
    # As bash does it when the key is pressed, with words that it has split.
    script = f"""
{install}
complete -p {name}
COMP_LINE="{name} {typed}" COMP_POINT={len(name) + 1 + len(typed)}
COMP_WORDS=({name} {typed}) COMP_CWORD=1
hydra_bash_completion
echo "${{COMPREPLY[@]}}"
"""
    done = subprocess.run(
        ["bash", "-c", script],
        env={**os.environ, "PATH": f"{tmp_path}{os.pathsep}{os.environ['PATH']}"},
        capture_output=True,
        text=True,
        timeout=HANGS,
    )
    assert done.returncode == 0, done.stderr
    completion, offered = done.stdout.splitlines()
    assert "hydra_bash_completion" in completion
    assert offered == whole
