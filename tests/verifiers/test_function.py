"""A plain function as a verifier: what it is called with, what comes of it, what is refused."""

import logging
import os
import re
import sys
from pathlib import Path

import pytest
from omegaconf import OmegaConf

from p2o.configuration.build import build
from p2o.errors import EngineError, UserError
from p2o.prompt import Prompt
from p2o.verifiers import GuardedVerifier, Score, Status
from p2o.verifiers.external import External
from p2o.verifiers.function import Function

PROMPT = Prompt.create([{"role": "user", "content": "3 + 4?"}], "7", level=2)
SEVERAL = Prompt.create([{"role": "user", "content": "A root of 4?"}], "2", ["-2"])


@pytest.fixture
def function(tmp_path, monkeypatch):
    """Write a file and make a verifier of its function ``f``, which is named from where it is."""
    monkeypatch.chdir(tmp_path)

    def make(code: str) -> Function:
        (tmp_path / "mine.py").write_text(code)
        return Function("mine.py:f")

    return make


@pytest.mark.parametrize(
    ("parameters", "given"),
    [
        ("completion, answer", "so 7|7"),
        ("answer, completion", "7|so 7"),
        ("completion", "so 7"),
        ("completion, problem", "so 7|2"),
        ("problem, answer, completion, more=1, *rest, **others", "2|7|so 7"),
        ("*, completion, answer", "so 7|7"),
    ],
)
def test_it_is_called_with_what_its_parameters_name(function, parameters, given):
    asked = [name for name in parameters.split(", ") if name in ("completion", "answer", "problem")]
    values = [f"{name}.meta['level']" if name == "problem" else name for name in asked]
    code = f"def f({parameters}): return {{'reward': 1, 'answer': '|'.join(map(str, [%s]))}}"
    [score] = function(code % ", ".join(values)).score(["so 7"], [PROMPT])
    assert score == Score(1.0, Status.OK, given)


@pytest.mark.parametrize(
    ("code", "score"),
    [
        ("return True", Score(1.0, Status.OK)),
        ("return False", Score(0.0, Status.OK)),
        ("return 0.25", Score(0.25, Status.OK)),
        ("return None", Score(0.0, Status.NO_ANSWER)),
        ("return Score(0.5, Status.PARSE_ERROR, '7')", Score(0.5, Status.PARSE_ERROR, "7")),
    ],
)
def test_what_it_gives_is_a_score(function, code, score):
    verifier = function(
        f"from p2o.verifiers import Score, Status\ndef f(completion, answer): {code}"
    )
    assert verifier.score(["7"], [PROMPT]) == [score]


def test_an_exception_is_an_error_of_that_response_alone_and_is_told(function, caplog):
    verifier = function("def f(completion, answer): return int(completion) == int(answer)")
    with caplog.at_level(logging.WARNING):
        scores = GuardedVerifier(verifier).score(["7", "seven", "8"], [PROMPT] * 3)
    assert [score.status for score in scores] == [Status.OK, Status.ERROR, Status.OK]
    assert [score.solved for score in scores] == [True, None, False]
    assert scores[1].detail.startswith("ValueError: invalid literal for int()")
    assert re.search(r" \(\w+\.py, line \d+\)$", scores[1].detail)
    [line] = caplog.messages
    said = f"the verifier gave no verdict (error) on prompt {PROMPT.id}: ValueError"
    assert line.startswith(said)


@pytest.mark.parametrize("kind", [UserError, EngineError])
def test_what_ends_a_run_is_no_score(function, kind):
    verifier = function(
        f"from p2o.errors import {kind.__name__}\n"
        f"def f(completion): raise {kind.__name__}('the judge is gone')"
    )
    with pytest.raises(kind, match="the judge is gone"):
        GuardedVerifier(verifier).score(["7"], [PROMPT])


@pytest.mark.parametrize(
    ("completion", "reward", "status"),
    [
        ("2", 1.0, Status.OK),
        ("-2", 1.0, Status.OK),
        ("3", 0.0, Status.OK),
        ("near -2", 0.5, Status.OK),
        # Not readable beside one answer: right by the other, or nothing is known.
        ("raise 2 is -2", 1.0, Status.OK),
        ("raise 2", 0.0, Status.ERROR),
        ("raise 2 near -2", 0.7, Status.OK),
    ],
)
def test_of_several_right_answers_the_best_score_counts(function, completion, reward, status):
    verifier = function(
        "def f(completion, answer):\n"
        "    if completion.startswith('raise ' + answer): raise KeyError(answer)\n"
        "    if completion == 'near ' + answer: return 0.5\n"
        "    if completion.endswith(' near ' + answer): return 0.7\n"
        "    return completion.split()[-1] == answer and 'near' not in completion\n"
    )
    [score] = verifier.score([completion], [SEVERAL])
    assert (score.reward, score.status) == (reward, status)


def test_what_the_guard_calls_solved_outweighs_a_failure_beside_another_answer(function):
    verifier = function(
        "def f(completion, answer):\n"
        "    if answer == '-2': raise KeyError(answer)\n"
        "    return 0.7\n"
    )
    [score] = GuardedVerifier(verifier, solved_reward=0.5).score(["2"], [SEVERAL])
    assert (score.reward, score.status, score.solved) == (0.7, Status.OK, True)


def test_one_that_asks_for_no_answer_is_called_once(function):
    verifier = function("n = []\ndef f(completion, problem): n.append(1); return len(n)")
    assert verifier.score(["2"], [SEVERAL])[0].reward == 1.0


def test_an_edited_file_is_read_anew_and_shadows_no_module(tmp_path, monkeypatch):
    # Python would keep bytecode, and take a file for the same that is as long and as old.
    monkeypatch.setattr(sys, "dont_write_bytecode", False)
    file = tmp_path / "reward.py"
    for reward in (0, 1):
        file.write_text(f"def f(completion): return {reward}")
        os.utime(file, (1e9, 1e9))
        assert Function(f"{file}:f").score([""], [PROMPT])[0].reward == reward
    assert not (tmp_path / "__pycache__").exists()
    monkeypatch.chdir(tmp_path)
    Path("json.py").write_text("def f(completion): return 1")
    Function("json.py:f")
    import json

    assert json.dumps({}) == "{}"


def test_a_file_may_hold_dataclasses_and_a_class_with_the_function(function):
    verifier = function(
        "from __future__ import annotations\nfrom dataclasses import dataclass\n"
        "@dataclass\nclass Mine:\n    width: int = 2\n"
        "    def reward(self, completion: str, answer: str) -> float: return self.width\n"
        "f = Mine().reward\n"
    )
    assert verifier.score(["7"], [PROMPT]) == [Score(2.0, Status.OK)]


def test_a_module_on_the_path(tmp_path, monkeypatch):
    (tmp_path / "my_rewards").mkdir()
    (tmp_path / "my_rewards" / "exact.py").write_text(
        "def reward(completion, answer): return completion == answer"
    )
    monkeypatch.syspath_prepend(tmp_path)
    # Another test's module may have this name.
    monkeypatch.delitem(sys.modules, "my_rewards", raising=False)
    scores = Function("my_rewards.exact:reward").score(["7", "8"], [PROMPT] * 2)
    assert [score.reward for score in scores] == [1.0, 0.0]


@pytest.mark.parametrize(
    ("path", "code", "message"),
    [
        ("none.py:f", "", r"no such file \(looked from .*\)"),
        ("mine.py", "", "names no function; give FILE.py:NAME or package.module:NAME"),
        ("mine.py:", "", "names no function"),
        ("no_such_module_of_mine:f", "", r"cannot be imported \(ModuleNotFoundError: No module"),
        ("mine.py:f", "def g(): pass", "there is no f in mine.py; its functions are g"),
        ("mine.py:f", "f = 3", "f is no function; it defines no function"),
        ("mine.py:f", "def f(:", r"running the file failed \(SyntaxError: "),
        ("mine.py:f", "nothing", r"running the file failed \(NameError: name 'nothing'"),
        ("mine.py:f", "import sys; sys.exit('bye')", r"failed \(SystemExit: bye\)"),
        ("mine.py:f", "def f(completion, gold): pass", "takes completion, gold; give a function"),
        ("mine.py:f", "def f(answer): pass", "takes answer; give"),
        ("mine.py:f", "def f(): pass", "takes no parameter; give"),
        ("mine.py:f", "def f(completion, answer, /): pass", "takes completion, answer; give"),
        ("mine.py:f", "async def f(completion): pass", "is a coroutine function"),
        ("mine.py:f", "f = dict", "does not say what parameters it has"),
    ],
)
def test_what_cannot_be_called_is_refused_in_one_line_that_names_the_key(
    tmp_path, monkeypatch, path, code, message
):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mine.py").write_text(code)
    node = OmegaConf.create({"_target_": "p2o.verifiers.function.Function", "path": path})
    with pytest.raises(UserError, match=message) as refused:
        build(node, "verifier")
    assert str(refused.value).startswith(f"verifier.path={path}: ")
    assert "\n" not in str(refused.value)


def test_a_function_of_batches_may_be_in_a_file_as_well(tmp_path):
    (tmp_path / "mine.py").write_text("def f(responses, prompts): return [0.5] * len(prompts)")
    assert External(f"{tmp_path}/mine.py:f").score(["7"], [PROMPT]) == [Score(0.5, Status.OK)]
