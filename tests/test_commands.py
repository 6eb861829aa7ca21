"""Every command that README, docs, yaml headers and ``--help`` print works as it is printed."""

import json
import os
import re
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest
from omegaconf import DictConfig, OmegaConf

from p2o.bench.settings import BenchSettings
from p2o.cli.arguments import doctor, export, pool, report, show
from p2o.cli.checks import check
from p2o.cli.data import compose_run
from p2o.cli.rehearsal import check_phrasebook, rehearse
from p2o.cli.settings import EvalSettings, TrainSettings
from p2o.configuration.build import build
from p2o.configuration.commandline import read_arguments
from p2o.configuration.overrides import check_overrides, compose_config
from p2o.hints.pool_file import Origin, PooledHint, PoolFile
from p2o.hints.pooling import write_pool
from p2o.prompt import hint_id
from p2o.records.writing import append
from tests.commands import ROOT, Command, commands
from tests.commands_running import EPOCHS, SMALL, UPDATE, Finished, each_once, runs_here, shortened
from tests.pages import write_examples

pytestmark = pytest.mark.slow

COMMANDS = commands()
HERE = [command for command in COMMANDS if runs_here(command)]
LOOK = [
    command
    for command in COMMANDS
    # A budget that is printed is not the one of the test, and no arm of a bench is run here.
    if command not in HERE or "max_epochs=" in command.text or command.text.startswith("p2o-bench")
]
LOOKED_AT: set[tuple[str, ...]] = set()
"""Settings of arms that have been looked at."""
REWARD = "def reward(completion, answer): return float(answer in completion)\n"


ARM = """# @package arms.fast
sentence: A higher rate
overrides: [optimizer.lr=5e-4]
"""


def named(command: Command) -> str:
    """How a test is called."""
    return f"{command.place}: {command.text[:60]}"


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A folder with what commands expect of the one where they are started."""
    for name in ("RUN", "FOLDER", "path/to/data", "path/to/eval", "runs/mine", "sweep/RUN"):
        (tmp_path / name).mkdir(parents=True)
    rows = [
        {
            **dict.fromkeys(("question", "text", "problem", "Body"), f"What is {n} + 1?"),
            **dict.fromkeys(("answer", "label", "Answer"), str(n + 1)),
            **{"Question": "?", "Type": "Addition", "level": 1},
        }
        for n in range(120)
    ]
    lines = "".join(json.dumps(row) + "\n" for row in rows)
    for name in ("rows.jsonl", "words.jsonl", "prompts.jsonl"):
        (tmp_path / name).write_text(lines)
    for name in ("SVAMP", "math", "path/to/eval/math", "path/to/eval/olympiad_bench"):
        (tmp_path / f"{name}.json").write_text(json.dumps(rows))
    (tmp_path / "program.json").write_text('{"signature": {"instructions": "Add."}}')
    (tmp_path / "lines.txt").write_text("".join(f"Add: {n} 1\t{n + 1}\n" for n in range(40)))
    (tmp_path / "my_rewards.py").write_text(REWARD)
    (tmp_path / "my_conf/arm").mkdir(parents=True)
    # A pattern that finds nothing is an error in some shells.
    (tmp_path / "sweep/job").mkdir(parents=True)
    (tmp_path / "my_conf/arm/fast.yaml").write_text(ARM)
    origin = Origin(name="some", sha256="0" * 64)
    hint = PooledHint(
        id=hint_id("Think."), text="Think.", score=1.0, tried=1, solved=1, in_use=True
    )
    pool = PoolFile(model=origin, data=origin, hints=(hint,))
    for name in ("mine", "yours"):
        write_pool(tmp_path / "runs" / name / "evolution/pool.json", pool)
    said = {"epoch": 1, "iteration": 1, "candidate": 1, "prompt": "Improve it.", "answer": "Think."}
    append(tmp_path / "runs/TEACHER/TIME", "exchanges", [said])
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"file:{tmp_path}/mlruns")
    monkeypatch.setenv("MLFLOW_ALLOW_FILE_STORE", "true")
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "my_rewards", raising=False)
    monkeypatch.setenv("OPENAI_API_KEY", "none")
    return tmp_path


def put_examples(command: Command, folder: Path) -> None:
    """Write down the files that the command's page shows."""
    if command.place.endswith(".md"):
        write_examples(ROOT / command.place, folder)


def settle(config: DictConfig) -> None:
    """Have what only another machine has: local copies of data, and an accelerator."""
    source = config.data.source
    root, file = source.get("root"), source.get("file")
    if root and file:
        path = Path(root) / file
        path = path if path.suffix else path / "train.json"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("[]")
    config.trainer = {**config.trainer, "accelerator": "cpu", "devices": 1, "strategy": "auto"}


def look(config: DictConfig) -> None:
    """Refuse what p2o-train would refuse before it loads a policy."""
    check(config)
    if config.plan:
        return
    config = config.copy()
    OmegaConf.set_struct(config, False)
    settle(config)
    rehearse(config)


def look_at_train(arguments: list[str]) -> None:
    """Look at each job of a command of p2o-train."""
    if {"--help", "-h"} & set(arguments):
        return
    check_overrides(arguments, "train", TrainSettings, inspect=look)


def look_at_bench(arguments: list[str]) -> None:
    """Look at a run of each arm of a command of p2o-bench."""
    if "--help" in arguments:
        return
    check_overrides(arguments, "bench", BenchSettings)
    line = read_arguments(arguments, "bench")
    config = compose_config(line.settings, line.name, line.folder)
    for arm in config.arms.values():
        settings = (*config.overrides, *arm.overrides)
        # A teacher's address is the user's to give. The same bench is named in many places.
        if "reflection=teacher" not in arm.overrides and settings not in LOOKED_AT:
            look_at_train(list(settings))
            LOOKED_AT.add(settings)


@pytest.mark.parametrize("command", LOOK, ids=named)
def test_the_shell_takes_it_and_so_does_the_program(command, folder, monkeypatch):
    put_examples(command, folder)
    program, *arguments = command.words(folder)
    if program in ("torchrun", "srun"):
        monkeypatch.setattr("p2o.cli.checks.launched_from_outside", lambda: True)
    if program in ("torchrun", "srun", "python") and "-m" in arguments or program == "srun":
        place = arguments.index("p2o-train" if program == "srun" else "-m")
        module = arguments[place + (program != "srun")]
        rest = arguments[place + 1 + (program != "srun") :]
        if module in ("p2o-train", "p2o.cli.train"):
            look_at_train(rest)
        else:
            assert find_spec(module), module
        return
    match program:
        case "p2o-train":
            look_at_train(arguments)
        case "p2o-eval":
            check_overrides(arguments, "eval", EvalSettings)
        case "p2o-data":
            assert arguments[0] in ("inspect", "contamination")
            read_data_command(arguments[1:])
        case "p2o-bench":
            look_at_bench(arguments)
        case "p2o-doctor":
            told = doctor.parser().parse_intermixed_args(arguments)
            config = compose_run(told.overrides, told.config_dir)
            check_phrasebook(build(config.reflection, "reflection"), config.model.path)
        case "p2o-pool" | "p2o-export" | "p2o-show" | "p2o-report":
            given = {"p2o-pool": pool, "p2o-export": export, "p2o-show": show, "p2o-report": report}
            given[program].parser().parse_args(arguments)
        case "make":
            assert re.search(rf"^{arguments[0]}:", (ROOT / "Makefile").read_text(), re.MULTILINE)
        case "pip":
            check_packages(arguments)
        case "python":
            if arguments[0].endswith(".py"):
                page = ROOT / command.place
                assert any((place / arguments[0]).is_file() for place in (ROOT, page.parent))
                return
            assert arguments[0] == "-c"
            compile(arguments[1], "command", "exec")
        case "vllm":
            assert arguments[0] == "serve"
        case _:
            assert program in ("git", "source"), f"write a test for {program}"


def read_data_command(arguments: list[str]) -> None:
    """Compose what a command of p2o-data is told."""
    options: dict[str, str | None] = {"--config-dir": None, "--output": None}
    settings = []
    words = iter(arguments)
    for word in words:
        if word in options:
            options[word] = next(words)
        else:
            settings.append(word)
    config_dir = options["--config-dir"]
    compose_run(settings, None if config_dir is None else Path(config_dir))


def check_packages(arguments: list[str]) -> None:
    """A package has to be there: one that is published, or this folder with extras it has."""
    project = (ROOT / "pyproject.toml").read_text()
    assert arguments[0] == "install"
    for name in (word for word in arguments[1:] if not word.startswith("-")):
        assert not name.startswith(("p2o", "p2o-rl")), "p2o is not published"
        for extra in re.findall(r"^\.\[(.*)\]$", name):
            for each in extra.split(","):
                assert re.search(rf"^{each} = \[", project, re.MULTILINE), each


@pytest.fixture(scope="module")
def finished(forks, tmp_path_factory):
    """A run with a search, one without, and an evaluation of the first."""
    folder = tmp_path_factory.mktemp("finished")
    budget = (*UPDATE, *SMALL, f"trainer.max_epochs={EPOCHS}")
    for program, *arguments in (
        ("train", *budget, "hydra.run.dir=searched"),
        ("train", *budget, "hydra.run.dir=bare", "experiment=grpo"),
        ("eval", "run=searched", "limit=2", "hydra.run.dir=evaluated"),
    ):
        done = forks.run(f"p2o.cli.{program}", arguments, folder)
        assert done.returncode == 0, done.stderr
    return Finished(folder)


@pytest.mark.parametrize("command", each_once(HERE), ids=named)
def test_it_runs_through_a_shell(forks, finished, command, folder):
    put_examples(command, folder)
    program, *arguments = command.words(folder)
    arguments = shortened(program, [finished.ids.get(word, word) for word in arguments])
    finished.put(arguments, folder)
    module = f"p2o.cli.{program.removeprefix('p2o-')}"
    if program == "python":
        _, module, *arguments = arguments
    paths = os.pathsep.join([str(folder), os.environ.get("PYTHONPATH", "")])
    done = forks.run(module, arguments, folder, {**os.environ, "PYTHONPATH": paths})
    # A bench says so when its runs have not ended; here none is started.
    status = 1 if "run=false" in arguments else 0
    assert done.returncode == status, done.stderr[-2000:]
    assert "Traceback" not in done.stderr
    if "--output" in arguments:
        assert (folder / arguments[arguments.index("--output") + 1]).exists()
    else:
        assert done.stdout
    if "--json" in arguments:
        json.loads(done.stdout)


def test_commands_are_found_wherever_they_are_printed():
    places = {command.place for command in COMMANDS}
    assert {"README.md", "docs/data.md", "p2o-train --help", "p2o-eval --help"} <= places
    assert {
        "p2o/cli/arguments/data.py",
        "p2o/cli/arguments/export.py",
        "conf/suite/digits.yaml",
    } <= places
    assert len(COMMANDS) > 100
