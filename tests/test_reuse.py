"""The callbacks' own wheel is enough for a project that has nothing to do with p2o."""

import ast
import json
import os
import subprocess
import sys
import sysconfig
import venv
import zipfile
from collections.abc import Sequence
from pathlib import Path

import pytest

import p2o
from tests.patience import HANGS

CHECKOUT = Path(p2o.__file__).parents[1]
EXAMPLE = CHECKOUT / "examples" / "reuse" / "reuse.py"
LOOK = """
import p2o_callbacks
print(p2o_callbacks.__file__)
try:
    import p2o.errors
except ModuleNotFoundError:
    print("there is no p2o")
"""


def call(arguments: Sequence[str | Path], cwd: Path) -> str:
    environment = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
    result = subprocess.run(
        list(map(str, arguments)),
        cwd=cwd,
        env={**environment, "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=HANGS,
    )
    assert result.returncode == 0, result.stdout + result.stderr
    return result.stdout


@pytest.fixture(scope="module")
def python(tmp_path_factory) -> Path:
    """The interpreter of an environment with the callbacks' wheel, and torch and Lightning."""
    folder = tmp_path_factory.mktemp("reuse")
    pip = [sys.executable, "-m", "pip"]
    build = [*pip, "wheel", "--no-deps", "--no-build-isolation", "-w", folder]
    call([*build, CHECKOUT / "callbacks"], folder)
    [wheel] = folder.glob("p2o_callbacks-*.whl")
    tops = {name.partition("/")[0] for name in zipfile.ZipFile(wheel).namelist()}
    assert {top for top in tops if not top.endswith(".dist-info")} == {"p2o_callbacks"}
    venv.create(folder / "environment", with_pip=False)
    made = folder / "environment" / "bin" / "python"
    call([*pip, "--python", made, "install", "--quiet", "--no-deps", wheel], folder)
    # Torch and Lightning are too large to be installed again. What is installed beside them in
    # place, such as p2o, is not found this way.
    [site] = (folder / "environment" / "lib").glob("python*/site-packages")
    (site / "borrowed.pth").write_text(sysconfig.get_paths()["purelib"] + "\n")
    return made


@pytest.mark.slow
def test_a_project_of_its_own_mines_and_evolves_with_the_wheel_alone(python, tmp_path):
    where, other = call([python, "-P", "-c", LOOK], tmp_path).splitlines()
    assert Path(where).is_relative_to(python.parents[1])
    assert other == "there is no p2o"
    output = call([python, "-P", EXAMPLE], tmp_path)
    assert output.splitlines()[-1] == "without a hint 100% are right"
    written = sorted(path.name for path in (tmp_path / "evolution").iterdir())
    assert written == ["epoch_0001.json", "epoch_0002.json"]


@pytest.mark.slow
@pytest.mark.multirank
def test_on_two_ranks_the_hard_set_is_that_of_both(python, tmp_path):
    output = call([python, EXAMPLE.with_name("two_ranks.py")], tmp_path)
    for rank in (0, 1):
        assert f"rank {rank}: without a hint 100% are right" in output
    searched = json.loads((tmp_path / "evolution" / "epoch_0001.json").read_text())
    # Each rank has asked half of the 25 questions.
    assert len(searched["assignment"]) == 25


def test_the_example_is_shorter_than_60_lines_and_imports_no_p2o():
    text = EXAMPLE.read_text()
    tree = ast.parse(text)
    documented = [
        node.body[0]
        for node in ast.walk(tree)
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef) and ast.get_docstring(node)
    ]
    docstrings = {
        line for node in documented for line in range(node.lineno, (node.end_lineno or 0) + 1)
    }
    code = [
        number
        for number, line in enumerate(text.splitlines(), 1)
        if line.strip() and not line.lstrip().startswith("#") and number not in docstrings
    ]
    assert len(code) < 60
    imported = [n.names[0].name for n in ast.walk(tree) if isinstance(n, ast.Import)]
    imported += [n.module or "" for n in ast.walk(tree) if isinstance(n, ast.ImportFrom)]
    assert {name.partition(".")[0] for name in imported} == {
        "torch",
        "lightning",
        "p2o_callbacks",
    }
