"""The examples do what their pages say, command by command."""

import csv
import glob
import re
import shlex
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient

from tests.patience import HANGS

pytestmark = pytest.mark.slow

EXAMPLES = Path(__file__).parents[1] / "examples"
NOTEBOOK = EXAMPLES / "notebook.ipynb"
TINY = (
    *("data.source.train=8", "data.source.held_out=4", "data.batch=8", "data.mini_batch=8"),
    "trainer.max_epochs=2",
)


def commands(page: Path) -> list[list[str]]:
    """The commands of a page in their order, as a shell takes them apart."""
    blocks = re.findall(r"^```bash\n(.*?)^```", page.read_text(), re.MULTILINE | re.DOTALL)
    lines = "".join(blocks).replace("\\\n", " ").splitlines()
    return [words for line in lines if (words := shlex.split(line, comments=True))]


@pytest.fixture
def typed(forks, tmp_path, request):
    """Type the commands of an example in a copy of its folder; returns what each has printed."""
    folder = Path(shutil.copytree(EXAMPLES / request.param, tmp_path / request.param))

    def run(*words: str) -> str:
        program, *arguments = words
        module = program if program.endswith(".py") else f"p2o.cli.{program.removeprefix('p2o-')}"
        done = forks.run(module, arguments, folder)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    return run


@pytest.mark.parametrize("typed", ["own_data"], indirect=True)
def test_data_and_a_reward_of_ones_own_down_to_the_model_in_transformers(typed):
    given = commands(EXAMPLES / "own_data" / "README.md")
    # What is about a real model is looked at by test_commands.py.
    local = [words for words in given if words[0] != "cd" and "experiment=own_file" not in words]
    programs = [words[1] if words[0] == "python" else words[0] for words in local]
    said = {
        " ".join(words[:3]): typed(program, *words[1 + (words[0] == "python") :])
        for words, program in zip(local, programs, strict=True)
    }
    inspected, trained, wrong, shown, exported, asked = said.values()
    assert re.search(r"train +│ +40 ", inspected)
    [(before, after)] = re.findall(r"│ all +│ +20 │ +(\S+)% │ +(\S+)% │", trained)
    assert float(after) > float(before) + 30
    assert "mean reward, partial ones counted" in trained
    assert re.search(r"wrong responses? without a hint in epoch \d", wrong)
    assert re.search(r"right: -?\d+; reward: 0\.[01]0", wrong)
    assert "What did it learn to say?" in shown
    assert exported.startswith("run/export: ")
    # The page names it in its text.
    assert "`p2o-report run`" in (EXAMPLES / "own_data" / "README.md").read_text()
    assert typed("p2o-report", "run").endswith("run/report/report.html\n")
    answers = re.findall(r"Answer: (\S+)  \(right: (\S+)\)", asked)
    assert sum(one == other for one, other in answers) >= 4


@pytest.mark.parametrize("typed", ["sweep"], indirect=True)
def test_a_sweep_that_is_killed_goes_on_and_ends_in_its_table(typed, tmp_path):
    [_, sweep, more, report] = commands(EXAMPLES / "sweep" / "README.md")
    folder = tmp_path / "sweep"
    process = subprocess.Popen(
        [sys.executable, "-m", "p2o.cli.train", *sweep[1:], *TINY],
        cwd=folder,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )
    # The second run has begun.
    while process.poll() is None and len(list(folder.glob("sweep/*/.hydra/config.yaml"))) < 2:
        time.sleep(0.05)
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=HANGS)
    assert process.returncode == 130, errors
    assert errors.splitlines()[-1] == (
        f"stopped by Ctrl-C; resume=auto hydra.sweep.dir={folder}/sweep goes on"
    )
    ended = len(list(folder.glob("sweep/*/summary.json")))
    assert 0 < ended < 4
    assert "finished" in (folder / "sweep" / "sweep.csv").read_text()
    table = typed("p2o-train", *sweep[1:], *TINY)
    assert table.count("This run had finished before") == ended
    # The sweep's own.
    assert table.count("next: ") == 1
    means = table[table.index("Means over seeds") :]
    assert re.findall(r"│ (evolution=\w+) +│ (\d) ", means) == [
        ("evolution=gepa", "2"),
        ("evolution=none", "2"),
    ]
    with (folder / "sweep" / "sweep.csv").open() as file:
        runs = {row["settings"]: (row["folder"], row["end"]) for row in csv.DictReader(file)}
    jobs = {f"evolution={name}, seed={seed}" for name in ("gepa", "none") for seed in (0, 1)}
    assert set(runs) == jobs
    for name, end in runs.values():
        assert end == "finished"
        assert (folder / "sweep" / name / "policy").is_dir()
    # A third seed joins.
    assert [a for a in more if a not in sweep] == ["seed=0,1,2"]
    table = typed(*more, *TINY)
    assert table.count("This run had finished before") == 4
    assert re.findall(r"│ evolution=\w+ +│ (\d) ", table) == ["3", "3"]
    all_runs = sorted(glob.glob(report[1], root_dir=folder))
    assert len(all_runs) == 6
    typed(report[0], *all_runs, *report[2:])
    page = (folder / "sweep" / "report" / "report.html").read_text()
    assert "evolution=gepa" in page


def test_the_notebook_runs_from_its_first_cell_to_its_last(tmp_path):
    notebook = nbformat.read(NOTEBOOK, as_version=4)
    NotebookClient(
        notebook, timeout=None, resources={"metadata": {"path": str(tmp_path)}}
    ).execute()
    texts, pictures = outputs(notebook)
    assert "epoch 6/6" in texts
    assert len(pictures) == 1
    # Text, code and what they came to: what is kept is of this version of p2o.
    kept_texts, kept_pictures = outputs(nbformat.read(NOTEBOOK, as_version=4))
    assert len(kept_pictures) == 1
    assert forms(texts) == forms(kept_texts)
    for text in (texts, kept_texts):
        assert "wrong responses, such as" in text
        assert "untrained, with a hint: Let us go slowly." in text
        assert '"template": "' in text


def forms(texts: str) -> list[str]:
    """What stands in every run: titles of tables, names of their rows, ways on."""
    plain = re.sub(r"\x1b\[[0-9;]*m", "", texts)
    # A title is centred; a row begins with its name, or with a number or an id.
    found = re.findall(
        r"^(?:((?:next: |run directory: |start: epoch ).*)|\s{9,}([A-Z].*)|│ ([a-z][a-z: ]+) │.*)$",
        plain,
        re.MULTILINE,
    )
    return [re.sub(r"\S*runs/notebook", "RUN", " ".join("".join(f).split())) for f in found]


def outputs(notebook) -> tuple[str, list[str]]:
    """All that the cells have printed, and their pictures."""
    found = [output for cell in notebook.cells for output in cell.get("outputs", ())]
    texts = [output.get("text", "") for output in found]
    pictures = [output.get("data", {}).get("image/png") for output in found]
    return "".join(texts), [picture for picture in pictures if picture]
