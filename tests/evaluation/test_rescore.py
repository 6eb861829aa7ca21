"""Saved completions are judged again as they were judged: the same problems, the same threshold."""

import json
import os
from pathlib import Path

import pytest

from p2o.evaluation.rescore import rescore
from p2o.verifiers import BoxedMath, ExactMatch
from p2o.verifiers.by_source import BySource
from tests.evaluation.saying import evaluated


def test_the_same_verifier_says_the_same_of_words_that_only_the_prompt_around_has(tmp_path):
    """The suffix says "step", and the template "stones"; a question has one of them or none."""
    for place, word in enumerate(("steps", "stones")):
        folder = tmp_path / str(place)
        rows = evaluated(folder, rf"\boxed{{8 \text{{ {word}}}}}", BoxedMath())
        assert [row["solved"] for row in rows] == [False, word == "steps"]
        counts, differences = rescore(folder, BoxedMath())
        assert (counts, differences) == ({"held_out": 2}, [])


def test_a_verifier_for_each_source_of_a_mixture_finds_its_source_again(tmp_path):
    verifier = BySource({"short": ExactMatch(None), "long": BoxedMath()})
    rows = evaluated(tmp_path, "8", verifier)
    assert [(row["source"], row["solved"]) for row in rows] == [("short", True), ("long", False)]
    assert rescore(tmp_path, verifier)[1] == []


@pytest.mark.slow
def test_what_counts_as_solved_is_what_counted_there_unless_it_is_said(forks, tmp_path):
    (tmp_path / "mine.py").write_text("def half(completion): return 0.5\n")
    verifier = ("verifier=function", "verifier.path=mine.py:half")
    paths = filter(None, [str(Path(__file__).parents[2]), os.environ.get("PYTHONPATH")])
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(paths)}

    def run(name, *more):
        given = ("suite=digits", *verifier, *more, f"hydra.run.dir={name}")
        done = forks.run("p2o.cli.eval", given, tmp_path, environment)
        assert done.returncode == 0, done.stderr
        path = tmp_path / name / "differences.json"
        return len(json.loads(path.read_text())) if path.exists() else None

    own = ("model=digits", "limit=3", "max_new_tokens=24", "max_prompt_tokens=160")
    run("first", *own, "verifier_guard.solved_reward=0.5")
    assert run("again", "rescore=first") == 0
    assert run("stricter", "rescore=first", "verifier_guard.solved_reward=0.9") == 3
