"""The documentation builds, strictly: every link in it leads somewhere."""

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.patience import HANGS

pytestmark = pytest.mark.slow

HOME = Path(__file__).parents[1]


def build(where: Path, site: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(site)],
        cwd=where,
        capture_output=True,
        text=True,
        timeout=HANGS,
    )


@pytest.fixture(scope="module")
def site(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("docs") / "site"
    done = build(HOME, folder)
    assert done.returncode == 0, done.stderr
    return folder


def test_the_reference_is_made_of_the_docstrings(site):
    page = (site / "reference" / "p2o_callbacks.mining" / "index.html").read_text()
    assert 'id="p2o_callbacks.mining.HardSampleMiner"' in page
    assert "samples with too few solved rollouts" in page
    objectives = (site / "reference" / "p2o.objectives" / "index.html").read_text()
    assert 'id="p2o.objectives.policy_loss.ClippedLoss"' in objectives


def test_every_option_of_every_group_has_a_place(site):
    groups = {path.parent for path in (HOME / "conf").rglob("*.yaml")} - {HOME / "conf"}
    for group in groups:
        name = group.relative_to(HOME / "conf").as_posix().replace("/", "_")
        page = (site / "configuration" / name / "index.html").read_text()
        for option in group.glob("*.yaml"):
            assert re.search(rf">{re.escape(option.stem)}<", page), option


def test_examples_and_the_notebook_have_pages_that_the_first_page_points_at(site):
    first = (site / "index.html").read_text()
    for name in ("notebook", "own_data", "sweep", "reuse"):
        assert f'href="examples/{name}/"' in first
        assert (site / "examples" / name / "index.html").is_file()
    notebook = (site / "examples" / "notebook" / "index.html").read_text()
    assert 'src="data:image/png;base64,' in notebook
    assert "untrained, with a hint: Let us go slowly." in notebook


def test_a_link_that_leads_nowhere_fails_the_build(tmp_path):
    copy = tmp_path / "copy"
    ignored = shutil.ignore_patterns(".git", ".venv*", "runs", "site", "__pycache__", "world")
    shutil.copytree(HOME, copy, ignore=ignored)
    with (copy / "docs" / "metrics.md").open("a") as page:
        page.write("\n[the losses](../p2o/objectives/no_such_file.py)\n")
    done = build(copy, tmp_path / "site")
    assert done.returncode != 0
    assert "no_such_file.py leads nowhere" in done.stderr
