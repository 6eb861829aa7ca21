import pytest

from p2o.errors import UserError
from p2o.prompt import Prompt
from p2o.verifiers import Status, python_tests
from p2o.verifiers.python_tests import PythonTests, find_code
from p2o.verifiers.sandbox.run import SandboxError


def prompt(tests, *alternatives):
    return Prompt.create([{"role": "user", "content": "Write add."}], tests, alternatives)


def block(code):
    return f"Here it is:\n```python\n{code}\n```\nDone."


@pytest.fixture(scope="module")
def verifier():
    return PythonTests(seconds=20.0, workers=2)


def test_the_tests_decide_in_order_and_say_why_not(verifier):
    asks = prompt("assert add(1, 2) == 3\nassert add(1, -1) == 0")
    right, wrong = block("def add(a, b): return a + b"), block("def add(a, b): return 3")
    scores = verifier.score([right, wrong, "I cannot.", right], [asks] * 4)
    assert [score.reward for score in scores] == [1.0, 0.0, 0.0, 1.0]
    assert [score.status for score in scores] == [
        Status.OK,
        Status.OK,
        Status.NO_ANSWER,
        Status.OK,
    ]
    assert scores[1].detail == "assert add(1, -1) == 0: AssertionError"
    assert scores[0].answer == "def add(a, b): return a + b\n"


def test_any_of_several_golds_is_enough(verifier):
    asks = prompt("assert add(1) == 5", "assert add(1) == 2")
    assert verifier.score([block("def add(a): return a + 1")], [asks])[0].reward == 1.0


def test_code_that_takes_too_long_is_wrong_and_no_failure_of_the_verifier():
    slow = PythonTests(seconds=2.0)
    [score] = slow.score([block("while True: pass")], [prompt("assert True")])
    assert (score.reward, score.status) == (0.0, Status.OK)
    assert "took longer than 2 seconds" in score.detail


def test_the_last_closed_block_is_the_code():
    assert find_code("```python\na\n```\n```py\nb\n```\n```python\nc") == "b\n"
    assert find_code("```\na\n```") is None
    assert find_code("```python\ns = '```'\n```") == "s = '```'\n"


@pytest.mark.parametrize(
    ("tests", "why"),
    [("assert f(", "no Python"), ("f(1) == 2", "no assert"), ("assert f(1) == 2", None)],
)
def test_tests_that_cannot_decide_are_named(verifier, tests, why):
    [reason] = verifier.check_gold([prompt(tests)])
    assert reason is None if why is None else why in reason


@pytest.mark.parametrize("bad", [{"seconds": 0}, {"megabytes": -1}, {"workers": 0}])
def test_bounds_must_be_positive(bad):
    with pytest.raises(UserError, match=f"^{next(iter(bad))}"):
        PythonTests(**bad)


def test_a_machine_that_cannot_close_the_sandbox_is_refused_unless_told(monkeypatch, caplog):
    real = python_tests.run_tests

    def open_kernel(*arguments, strict, **more):
        if strict:
            raise SandboxError("the sandbox is not closed: files (Landlock): not implemented")
        return real(*arguments, strict=strict, **more)

    monkeypatch.setattr(python_tests, "run_tests", open_kernel)
    with pytest.raises(UserError, match=r"Landlock.*strict=false"):
        PythonTests()
    PythonTests(strict=False)
    assert "not closed" in caplog.text


def test_a_sandbox_that_fails_is_an_error(verifier, monkeypatch):
    monkeypatch.setattr("p2o.verifiers.sandbox.run.PROGRAM", "raise SystemExit('no room')")
    [score] = verifier.score([block("pass")], [prompt("assert True")])
    assert score.status == Status.ERROR
    assert "no room" in score.detail


@pytest.mark.parametrize(
    "response",
    [
        "```python3\nx = 7\n```",
        "```Python\nx = 7\n```",
        "```PY\nx = 7\n```",
        "```python 3.11\nx = 7\n```",
        "```python title='a.py'\nx = 7\n```",
        "```python:a.py\nx = 7\n```",
        "``` python\nx = 7\n```",
        "```{.python}\nx = 7\n```",
        "~~~python\nx = 7\n~~~",
        "````python\nx = 7\n````",
        "```python\r\nx = 7\r\n```\r\n",
        "```python \nx = 7\n``` ",
        "1. So:\n   ```python\n   x = 7\n   ```",
        "- So:\n\t```python\n\tx = 7\n\t```",
        "> ```python\n> x = 7\n> ```",
        "- ```python\n  x = 7\n  ```",
        "1.\t```python\n\tx = 7\n\t```",
        "2) ```python\n   x = 7\n   ```",
        "\ufeff```python\nx = 7\n```",
        "```python\n\ufeffx = 7\n```",
        "```\n3\n```\n```python\nx = 7\n```\n```text\n7\n```",
        "A stray fence:\n```\n```python\nx = 7\n```",
        "```python\nx = 6\n\nNo:\n```python\nx = 7\n```",
        "```python\nx = 6\n```\n```python\nx = 7\n```\n```python\nx = 8",
    ],
)
def test_a_fence_is_one_however_it_is_spelled(response):
    assert find_code(response) == "x = 7\n"


@pytest.mark.parametrize(
    "response",
    [
        "```pytest\nx\n```",
        "```pycon\nx\n```",
        "```java\nx\n```",
        "``python\nx\n``",
        "```python x```",
    ],
)
def test_other_languages_and_other_marks_are_no_python(response):
    assert find_code(response) is None


def test_indented_code_keeps_its_own_indentation_and_longer_fences_hold_shorter_ones():
    listed = "1. a\n   ```python\n   def f():\n       return 1\n   ```"
    assert find_code(listed) == "def f():\n    return 1\n"
    assert find_code("````python\ns = '''\n```\n'''\n````") == "s = '''\n```\n'''\n"


@pytest.mark.parametrize(
    "piece", ["```python\n", "```\n", "`", "> ", "```python ```", "   ~~~py\n"]
)
def test_finding_code_takes_no_longer_than_reading(piece):
    # Time that grows with the square of the length would be hours here.
    find_code(piece * 200_000)
