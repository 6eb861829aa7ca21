"""`p2o-doctor`: what it says first, what it finds, and how it refuses."""

import json
import logging
import sys

import pytest

from p2o.cli.doctor import main
from p2o.reflection.phrasebook import load_phrases

pytestmark = pytest.mark.slow

SMALL = ("--problems", "6", "--samples", "6", "data.source.train=24", "data.source.held_out=4")


@pytest.fixture
def p2o_doctor(monkeypatch, capsys, tmp_path):
    """Run the command line in this process; returns its status, stdout and stderr."""
    monkeypatch.chdir(tmp_path)
    root = logging.getLogger()
    kept = list(root.handlers), root.level

    def run(*arguments: str) -> tuple[int, str, str]:
        root.handlers[:] = []
        monkeypatch.setattr(sys, "argv", ["p2o-doctor", *arguments])
        capsys.readouterr()
        status = 0
        try:
            main()
        except SystemExit as stopped:
            status = int(stopped.code or 0)
        return status, *capsys.readouterr()

    yield run
    root.handlers[:], root.level = kept


def words(text):
    return " ".join(text.split())


def test_it_says_what_it_spends_then_what_is_wrong_then_what_to_do(p2o_doctor):
    status, output, _ = p2o_doctor(*SMALL, "--hints", "16")
    assert status == 0
    assert max(map(len, output.splitlines())) <= 80
    first, _, rest = words(output).partition(" Nothing is trained. ")
    assert first.startswith("This makes at most 132 rollouts of at most 24 tokens: 6 problems x 6")
    parts = ["pass@k of each problem", "What came of the rollouts", "What a group with contrast"]
    parts += ["Hints on the", "What to do, in this order", "spent: "]
    assert [rest.index(part) for part in parts] == sorted(rest.index(part) for part in parts)
    assert "keep the search for hints on" in rest


def test_rewards_between_nothing_and_all_are_shown(p2o_doctor, tmp_path):
    (tmp_path / "rewards.py").write_text(
        "def reward(completion, answer):\n"
        "    return 1.0 if completion.endswith(f' {answer}') else 0.25 * ('Answer' in completion)\n"
    )
    partial = ("verifier=function", "verifier.path=rewards.py:reward", "--hints", "0")
    _, output, _ = p2o_doctor(*SMALL, *partial)
    assert max(map(len, output.splitlines())) <= 80
    rows = [line.split() for line in output.splitlines()]
    [wrong] = [row for row in rows if row[:1] == ["wrong"] and row[1].endswith("%")]
    assert 0 < float(wrong[3]) <= 0.25
    assert "mean reward" in output
    assert ", reward 0.25" in output
    assert "mean reward" not in p2o_doctor(*SMALL, "--hints", "0")[1]


def test_machines_get_the_same_from_stdout_and_from_a_file(p2o_doctor, tmp_path):
    status, output, error = p2o_doctor(*SMALL, "--hints", "16", "--json", "--output", "found.json")
    found = json.loads(output)
    assert (status, found) == (0, json.loads((tmp_path / "found.json").read_text()))
    assert "at most 132 rollouts" in words(error)
    spent = found["spent"]
    unsolved = [problem for problem in found["problems"] if not problem["solved"]]
    assert spent["rollouts"] == 36
    assert spent["hinted_rollouts"] == 16 * len(unsolved) <= 132 - 36
    # The world's phrases, of which each family's own unlocks its problems.
    assert [hint["text"] for hint in found["hints"]] == load_phrases(None)
    assert any(problem["reached_by"] for problem in unsolved)
    assert sum(found["outcomes"].values()) == pytest.approx(1)


def test_the_same_command_finds_the_same(p2o_doctor):
    found = [json.loads(p2o_doctor(*SMALL, "--hints", "2", "--json")[1]) for _ in range(2)]
    for each in found:
        each["spent"].pop("seconds")
    assert found[0] == found[1]


def test_responses_that_are_cut_and_a_pattern_that_finds_nothing_are_told_apart(p2o_doctor):
    _, cut, _ = p2o_doctor(*SMALL, "--hints", "0", "--json", "sampling.train.max_new_tokens=4")
    _, lost, _ = p2o_doctor(*SMALL, "--hints", "0", "--json", 'verifier.pattern="Result: (.+)"')
    assert json.loads(cut)["outcomes"]["cut"] == 1
    assert json.loads(cut)["advice"][0]["what"] == "sampling.train.max_new_tokens=8"
    assert json.loads(lost)["outcomes"]["no answer found"] == 1
    assert json.loads(lost)["advice"][0]["what"].startswith(("verifier.pattern", "renderer.suffix"))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("data.grup_size=3",), "data.grup_size"),
        (("--output", "no/such/folder.json", *SMALL, "--hints", "0"), "--output=no/such/folder"),
        (("reflection=teacher",), "reflection.base_url"),
        (("model.path=some/model",), "model.path=some/model: reflection=phrasebook has phrases of"),
    ],
)
def test_what_cannot_work_is_said_in_one_line(p2o_doctor, arguments, message):
    status, _, error = p2o_doctor(*arguments)
    assert status == 2
    assert error.splitlines()[-1].startswith("error: ")
    assert message in error.splitlines()[-1]
