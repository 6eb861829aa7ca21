"""Each benchmark runs, in its tiny version, and writes results that the page can show."""

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks.command import NAMES
from benchmarks.overhead import PHRASES
from benchmarks.process import ROOT
from benchmarks.report import report
from tests.patience import HANGS


def run(name: str, folder: Path) -> dict:
    done = subprocess.run(
        [sys.executable, "-m", f"benchmarks.{name}", "--quick", f"--folder={folder}"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=HANGS,
    )
    assert done.returncode == 0, done.stderr
    content = json.loads((folder / f"{name}.json").read_text())
    assert content["quick"]
    assert content["failures"] == []
    assert "tiny version" in report(folder)
    return content


def check_steps(steps: list[dict], rollouts: int) -> None:
    for step in steps:
        parts = [step[part] for part in ("generation", "verifying", "scoring", "update", "other")]
        assert all(part >= 0 for part in parts)
        assert sum(parts) == pytest.approx(step["seconds"])
        assert step["update"] > 0
        assert len(step["prompts"]) == len(step["completions"]) == rollouts


@pytest.mark.slow
def test_step(tmp_path):
    results = run("step", tmp_path)["results"]
    assert [result["side"] for result in results] == ["TRL", "p2o"]
    for result in results:
        check_steps(result["steps"], rollouts=4)
        assert result["steps"][0]["generation"] > 0
        assert 2**27 < result["peak_bytes"] < 2**32
    # The same questions as tokens: neither side renders them otherwise.
    trl, p2o = ([step["prompts"] for step in result["steps"]] for result in results)
    assert trl == p2o


@pytest.mark.slow
def test_update(tmp_path):
    [result] = run("update", tmp_path)["results"]
    # Two prompts of 12 tokens, two prescribed responses of 8 to each.
    assert result["learned"] == 2 * 2 * 8
    assert result["tokens"] == 2 * 12 + result["learned"]
    assert result["as_rows"] == 2 * 2 * 12 + result["learned"]
    assert result["rate"] > 0
    assert result["update"] > result["flops"] / result["rate"]


@pytest.mark.slow
def test_sampling(tmp_path):
    [result] = run("sampling", tmp_path)["results"]
    assert result["case"] == "4 rows"
    assert 1 <= result["longest"] <= 8
    assert result["floor"] == result["prompts"] + result["token"] * result["longest"]
    assert 0 < result["floor"] < result["generation"]


@pytest.mark.slow
def test_scaling(tmp_path):
    base, grown = run("scaling", tmp_path)["results"]
    assert grown["work"]["group_size"] == 2 * base["work"]["group_size"]
    assert min(result[part] for result in (base, grown) for part in ("update", "scoring")) > 0
    assert base["prompt_tokens"] == grown["prompt_tokens"] == 28


@pytest.mark.slow
def test_evolution(tmp_path):
    [result] = run("evolution", tmp_path)["results"]
    for search in result["searches"].values():
        # What is not known of greedy trials is asked of the engine, and nothing else.
        assert 0 < search["metric_calls"] <= 60 + 2 * 3
        assert search["prompts"] == search["metric_calls"]
        assert 0 < search["engine_calls"] <= search["prompts"]


@pytest.mark.slow
def test_overhead(tmp_path):
    [result] = run("overhead", tmp_path)["results"]
    check_steps(result["steps"], rollouts=4 * 6)
    # Templated rollouts are scored; the bare ones of the first epoch are not among the steps.
    assert all(step["scoring"] > 0 and step["verifying"] > 0 for step in result["steps"])


def test_what_is_missing_is_said(tmp_path):
    page = report(tmp_path)
    for name in NAMES:
        assert f"there is no result of `python -m benchmarks.{name}`" in page
    assert "| 2.5 or more | not measured |" in page


def test_a_failure_is_said_beside_what_was_measured(tmp_path):
    results = {
        "quick": False,
        "command": "python -m benchmarks.overhead",
        "date": "2026-01-01",
        "machine": {
            **{"processor": "P", "cores": 2, "memory_bytes": 2**34, "system": "S", "python": "3"},
            **{"libraries": {"torch": "2"}, "load": 0.0, "threads": None},
        },
        "results": [
            {
                "case": "embedded policy",
                "steps": [
                    {
                        **{"seconds": 4.0, "generation": 2.0, "verifying": 0.5, "scoring": 0.5},
                        **{"update": 0.9, "other": 0.1},
                    }
                ],
                "command": "p2o-train",
                "threads": 1,
            }
        ],
        "failures": [{"what": "SmolLM2-135M", "error": "exit status 1: first\nlast"}],
    }
    (tmp_path / "overhead.json").write_text(json.dumps(results))
    page = report(tmp_path)
    assert "| embedded policy | 1 | 4.00 | 50.0 % | 12.5 % | 12.5 % | 22.5 % | 2.5 % |" in page
    assert "Not measured: SmolLM2-135M (last)." in page
    assert "| P, S | 2 | 16 GiB | torch's choice | Python 3, torch 2 | 0.0 to 0.0 |" in page


def test_the_page_shows_no_path_of_the_machine_it_was_made_on():
    page = (ROOT / "docs" / "evidence" / "speed.md").read_text()
    assert not re.search(r"[= `]/\w+/", page)
    assert (ROOT / PHRASES).is_file()
