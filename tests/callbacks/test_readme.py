"""The example of the README runs as it stands, with nothing but the callbacks' own wheel."""

import re
import subprocess
import sys
import zipfile
from email import message_from_bytes
from pathlib import Path

import pytest

import p2o
import p2o_callbacks
from tests.patience import HANGS

HOME = Path(__file__).parents[2]


def example() -> str:
    section = (HOME / "README.md").read_text().split("## Just the callbacks")[1]
    [code] = re.findall(r"```python\n(.*?)```", section.split("\n## ")[0], re.DOTALL)
    return code


def run(code: str, folder: Path, *paths: Path) -> str:
    more = f"import sys; sys.path[:0] = {[str(path) for path in paths]}\n"
    done = subprocess.run(
        [sys.executable, "-P", "-c", more + code],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=HANGS,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.endswith("Think step by step.\n")
    return done.stderr


@pytest.mark.slow
def test_the_example_runs_as_it_is_printed(tmp_path):
    said = run(example(), tmp_path, HOME / "callbacks")
    assert "evolution: 1 template for 1 hard sample\n" in said
    assert "step by step" in (tmp_path / "evolution" / "epoch_0001.json").read_text()


def test_both_packages_are_of_one_version():
    assert p2o_callbacks.__version__ == p2o.__version__


WITHOUT_P2O = """
import sys
class Block:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in ("p2o", "wandb", "datasets", "gepa", "hydra", "omegaconf"):
            raise ModuleNotFoundError(name)
sys.meta_path.insert(0, Block())
import p2o_callbacks
assert p2o_callbacks.__file__.startswith(sys.path[0]), p2o_callbacks.__file__
"""


@pytest.mark.slow
def test_the_callbacks_have_a_wheel_that_brings_lightning_and_little_more(tmp_path):
    build = ["-m", "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation", "-w", "."]
    subprocess.run(
        [sys.executable, *build, str(HOME / "callbacks")],
        cwd=tmp_path,
        check=True,
        timeout=HANGS,
        capture_output=True,
    )
    [wheel] = tmp_path.glob("p2o_callbacks-*.whl")
    with zipfile.ZipFile(wheel) as archive:
        [path] = [name for name in archive.namelist() if name.endswith("/METADATA")]
        metadata = message_from_bytes(archive.read(path))
        assert "p2o_callbacks/py.typed" in archive.namelist()
        archive.extractall(tmp_path / "site")
    needed = {re.split(r"[<>=]", need)[0] for need in metadata.get_all("Requires-Dist", [])}
    assert needed == {"torch", "lightning", "rich"}
    assert metadata["Version"] == p2o_callbacks.__version__
    said = run(WITHOUT_P2O + example(), tmp_path, tmp_path / "site")
    assert "evolution: 1 template for 1 hard sample\n" in said
