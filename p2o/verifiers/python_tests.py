"""Code against tests: the response's Python is run, and assert statements decide."""

import ast
import logging
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial

from p2o.constraints import Workers
from p2o.errors import UserError
from p2o.prompt import Prompt
from p2o.verifiers.base import HIGHEST, Score, Status, check_positive
from p2o.verifiers.code_blocks import find_code
from p2o.verifiers.sandbox.run import CodeOutcome, SandboxError, run_tests

logger = logging.getLogger(__name__)

PROBE = "def probe(): return 1", "assert probe() == 1"


class PythonTests:
    """1 when the code in the response's last ``python`` block passes the tests.

    The gold answer is the tests: Python with assert statements, which sees the names that the code
    defines. They run in another process than the code, so that it can neither read nor skip them;
    see ``docs/verifiers.md`` for what code and tests can do. Code that is wrong, hangs, dies or
    tries what it may not is a wrong answer, not an error.

    Args:
        seconds: That code and tests together may work or sleep; waiting for a processor is free.
        megabytes: Memory of each of their two processes.
        workers: Responses that are run at once.
        strict: Whether to refuse a machine whose kernel cannot close the sandbox.

    Raises:
        UserError: A bound is not positive, or the sandbox does not hold here.
    """

    highest = HIGHEST

    def __init__(
        self,
        seconds: float = 10.0,
        megabytes: int = 512,
        workers: Workers = 1,
        strict: bool = True,
    ) -> None:
        check_positive(seconds=seconds, megabytes=megabytes, workers=workers)
        self.workers = workers
        self.run = partial(run_tests, seconds=seconds, megabytes=megabytes, strict=strict)
        self._check_sandbox()

    def score(self, responses: Sequence[str], prompts: Sequence[Prompt]) -> list[Score]:
        """See `Verifier.score`."""
        codes = [find_code(response) for response in responses]
        jobs = [
            (code, prompt.golds)
            for code, prompt in zip(codes, prompts, strict=True)
            if code is not None
        ]
        # Rollouts of one prompt may be equal.
        different = list(dict.fromkeys(jobs))
        with ThreadPoolExecutor(self.workers) as threads:
            scores = dict(zip(different, threads.map(self._score, different), strict=True))
        return [
            Score(0.0, Status.NO_ANSWER, detail="no ```python block in the response")
            if code is None
            else scores[code, prompt.golds]
            for code, prompt in zip(codes, prompts, strict=True)
        ]

    def check_gold(self, prompts: Sequence[Prompt]) -> list[str | None]:
        """Why tests can be used by no answer; None where they can."""
        return [_fault(prompt.golds) for prompt in prompts]

    def _score(self, job: tuple[str, tuple[str, ...]]) -> Score:
        code, golds = job
        outcome = CodeOutcome(False)
        for tests in golds:
            try:
                outcome = self.run(code, tests)
            except SandboxError as error:
                return Score(0.0, Status.ERROR, code, str(error))
            if outcome.passed:
                break
        return Score(float(outcome.passed), Status.OK, code, outcome.reason)

    def _check_sandbox(self) -> None:
        code, tests = PROBE
        for strict in (True, False):
            try:
                outcome = run_tests(code, tests, 60.0, strict=strict)
            except SandboxError as error:
                if strict and not self.run.keywords["strict"]:
                    logger.warning("strict=false: code is run although %s", error)
                    continue
                raise UserError(
                    f"{error}; use a Linux kernel of 5.13 or newer with Landlock and "
                    "seccomp, or strict=false in a container that may be broken"
                ) from error
            if not outcome.passed:
                raise UserError(f"the sandbox does not work here ({outcome.reason})")
            return


def _fault(golds: Sequence[str]) -> str | None:
    for tests in golds:
        try:
            tree = ast.parse(tests)
        except (SyntaxError, ValueError) as error:
            return f"the tests are no Python ({error})"
        if not any(isinstance(node, ast.Assert) for node in ast.walk(tree)):
            return "the tests have no assert statement"
    return None
