"""The wheel alone is enough: configuration, embedded world and callbacks are in it."""

import os
import subprocess
import sys
import zipfile
from collections.abc import Sequence
from pathlib import Path

import pytest

import p2o
from tests.patience import HANGS

CHECKOUT = Path(p2o.__file__).parents[1]


def call(arguments: Sequence[str | Path], cwd: Path, **environment: str) -> str:
    result = subprocess.run(
        [sys.executable, *map(str, arguments)],
        cwd=cwd,
        env={**os.environ, "OMP_NUM_THREADS": "1", **environment},
        capture_output=True,
        text=True,
        timeout=HANGS,
    )
    assert result.returncode == 0, result.stdout + result.stderr
    return result.stdout


@pytest.fixture(scope="module")
def wheel(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    call(
        ["-m", "pip", "wheel", "--no-deps", "--no-build-isolation", "-w", folder, CHECKOUT],
        cwd=folder,
    )
    [made] = folder.glob("*.whl")
    return made


@pytest.mark.slow
def test_the_wheel_carries_everything_a_run_reads(wheel):
    names = set(zipfile.ZipFile(wheel).namelist())
    for folder in ("p2o", "callbacks/p2o_callbacks", "conf"):
        inside = {"p2o": "p2o", "conf": "p2o/conf"}.get(folder, "p2o_callbacks")
        for path in (CHECKOUT / folder).rglob("*"):
            if path.is_file() and "__pycache__" not in path.parts:
                assert f"{inside}/{path.relative_to(CHECKOUT / folder)}" in names
    assert {
        "p2o/conf/train.yaml",
        "p2o/world/digits/model.safetensors",
        "p2o/world/phrasebook.txt",
        "p2o_callbacks/__init__.py",
    } <= names
    tops = {name.partition("/")[0] for name in names}
    assert {top for top in tops if not top.endswith(".dist-info")} == {"p2o", "p2o_callbacks"}


@pytest.mark.slow
def test_an_installed_wheel_trains_far_from_the_checkout(wheel, tmp_path):
    site, elsewhere = tmp_path / "site", tmp_path / "elsewhere"
    elsewhere.mkdir()
    call(["-m", "pip", "install", "--quiet", "--no-deps", "--target", site, wheel], cwd=elsewhere)
    # In the process that trains: what it imported, and where its configuration lies.
    program = "\n".join(
        (
            "import p2o, p2o_callbacks",
            "from p2o.configuration.build import conf_directory",
            "from p2o.cli.train import main",
            "print(p2o.__file__, p2o_callbacks.__file__, conf_directory(), sep='\\n')",
            "main()",
        )
    )
    settings = (
        "trainer.max_epochs=1",
        "data.source.train=16",
        "data.source.held_out=8",
        "data.batch=8",
        "data.mini_batch=8",
        "hydra.run.dir=run",
    )
    output = call(["-P", "-c", program, *settings], cwd=elsewhere, PYTHONPATH=str(site))
    assert output.splitlines()[:3] == [
        str(site / "p2o" / "__init__.py"),
        str(site / "p2o_callbacks" / "__init__.py"),
        str(site / "p2o" / "conf"),
    ]
    assert (elsewhere / "run" / "summary.json").is_file()
    assert (elsewhere / "run" / "checkpoints" / "epoch_0000.ckpt").is_file()
