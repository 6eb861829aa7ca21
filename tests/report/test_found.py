"""What a run says at its end of the templates that its searches found, and of what to do next."""

import subprocess
from types import SimpleNamespace
from unittest.mock import MagicMock

import pytest
from omegaconf import OmegaConf

from p2o.prompt import Prompt
from p2o.report import summary
from p2o.report.found import found_templates
from p2o.report.summary import as_found_here, next_commands, write_summary
from p2o_callbacks import Moment, PromptPool, Template
from p2o_callbacks.pool_files import write_pool


def problem(number, **meta):
    return Prompt.create([{"role": "user", "content": f"{number}?"}], "1", **meta)


SUMS = [problem(n, family="sum") for n in range(4)]
TURNS = [problem(n, family="turns") for n in range(4, 8)]


def search(folder, epoch, **templates):
    """Write down a search: for each template the problems it was tried on, solved ones first."""
    made = [
        Template(
            text.replace("_", " "),
            score=None,
            dev_scores={p.id: float(p in solved) for p in [*solved, *failed]},
            solved=frozenset(p.id for p in solved),
        )
        for text, (solved, failed) in templates.items()
    ]
    write_pool(folder / "evolution", Moment(epoch), PromptPool(tuple(made)))


def test_each_family_has_the_template_that_solved_most_of_its_problems(tmp_path):
    search(
        tmp_path,
        1,
        Keep_calm=(SUMS[:3], [*SUMS[3:], *TURNS]),
        Imagine_a_rope=(TURNS[:2], [*SUMS, *TURNS[2:]]),
        Be_brief=([], [*SUMS, *TURNS]),
    )
    assert found_templates(tmp_path, [*SUMS, *TURNS]) == [
        {"kind": "sum", "template": "Keep calm", "solved": 3, "tried": 4},
        {"kind": "turns", "template": "Imagine a rope", "solved": 2, "tried": 4},
    ]


def test_searches_of_all_epochs_count_and_a_problem_once(tmp_path):
    search(tmp_path, 1, Keep_calm=(SUMS[:1], SUMS[1:]), Be_brief=(SUMS[:2], SUMS[2:]))
    search(tmp_path, 2, Keep_calm=(SUMS[:3], []))
    [row] = found_templates(tmp_path, SUMS)
    assert (row["template"], row["solved"], row["tried"]) == ("Keep calm", 3, 4)


def test_of_equal_templates_the_shortest_is_named(tmp_path):
    search(tmp_path, 1, Keep_calm_and_be_brief=(SUMS, []), Keep_calm=(SUMS, []))
    assert [row["template"] for row in found_templates(tmp_path, SUMS)] == ["Keep calm"]


def test_the_empty_template_and_one_that_solves_nothing_are_no_finds(tmp_path):
    search(tmp_path, 1, **{"": (SUMS, []), "Keep_calm": ([], SUMS)})
    assert found_templates(tmp_path, SUMS) == []


def test_without_families_problems_are_told_apart_by_source(tmp_path):
    words = problem(1)
    search(tmp_path, 1, Keep_calm=([words], []))
    assert found_templates(tmp_path, [words])[0]["kind"] == "all"


def test_a_run_without_a_search_has_found_nothing(tmp_path):
    assert found_templates(tmp_path, SUMS) == []


def test_what_comes_next_can_be_pasted(tmp_path):
    folder = tmp_path / "my run"
    digits = {"source": {"_target_": "p2o.data.sources.DigitLists"}}
    demo = {"model": {"path": "embedded:digits"}, "data": digits, "evolution": {"evolver": {}}}
    summary = {"config": demo}
    commands = [command for command, _ in next_commands(summary, folder)]
    assert commands[0] == f"p2o-export '{folder}'"
    assert "p2o-train experiment=grpo" in commands
    real = {"config": {"model": {"path": "Qwen/Qwen3-4B"}}}
    assert [command for command, _ in next_commands(real, folder)] == commands[:1]
    # Where there was no search, or rows of one's own, "the same without templates" is none of ours.
    for other in ({"evolution": None}, {"data": {"source": {"_target_": "TableSource"}}}):
        told = [command for command, _ in next_commands({"config": demo | other}, folder)]
        assert "p2o-train experiment=grpo" not in told


def test_a_command_is_told_as_a_shell_finds_it(tmp_path, monkeypatch):
    programs = tmp_path / "my environment" / "bin"
    programs.mkdir(parents=True)
    program = programs / "p2o-export"
    program.write_text("#!/bin/sh\necho exported $1\n")
    program.chmod(0o755)
    monkeypatch.setattr("sys.executable", str(programs / "python"))
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PATH", str(programs))
    assert as_found_here("p2o-export runs/mine") == "p2o-export runs/mine"
    # As in an environment that is not activated
    monkeypatch.setenv("PATH", "/usr/bin:/bin")
    told = as_found_here("p2o-export runs/mine")
    assert told == "'my environment/bin/p2o-export' runs/mine"
    shell = subprocess.run(["sh", "-c", told], capture_output=True, text=True, check=True)
    assert shell.stdout == "exported runs/mine\n"
    assert as_found_here("p2o-train experiment=grpo") == "p2o-train experiment=grpo"


@pytest.mark.parametrize("rank", [0, 1])
def test_the_rank_that_writes_the_summary_is_the_one_that_reads_the_pools(
    tmp_path, monkeypatch, rank
):
    read = []
    monkeypatch.setattr(summary, "rank", lambda: rank)
    monkeypatch.setattr(summary, "found_templates", lambda *_: read.append(1) or ["found"])
    monkeypatch.setattr(summary, "json", SimpleNamespace(dumps=lambda *_, **__: "written"))
    data = MagicMock()
    data.evaluation = MagicMock(untrained={}, latest={}, rewards={}, prompts=[])
    told = write_summary(tmp_path, OmegaConf.create(), data, [])
    assert (told["found"], len(read)) == ((["found"], 1) if rank == 0 else ([], 0))
    assert (tmp_path / "summary.json").exists() == (rank == 0)
