"""The Tab key: what README says installs it, and what it offers."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.patience import HANGS

pytestmark = pytest.mark.slow


def test_groups_and_options_are_completed_in_bash(tmp_path):
    program = tmp_path / "p2o-train"
    program.write_text(
        f"#!{sys.executable}\nimport sys\nfrom p2o.cli.train import main\n"
        "sys.argv[0] = 'p2o-train'\nmain()\n"
    )
    program.chmod(0o755)
    [install] = [
        line.split("`")[1]
        for line in (Path(__file__).parents[2] / "README.md").read_text().splitlines()
        if "--shell-completion install=bash" in line
    ]
    # As bash does it when the key is pressed, with words that it has split.
    script = f"""
{install}
complete -p p2o-train
COMP_LINE="p2o-train distillation=crm" COMP_POINT=26
COMP_WORDS=(p2o-train distillation=crm) COMP_CWORD=1
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
    assert offered == "distillation=crm_soft"
