"""One run works in a folder at a time, and a refused one leaves its record alone."""

import subprocess
import sys

import pytest

from p2o.errors import UserError
from p2o.run_folder import one_run_in

HOLD = """
import sys
from pathlib import Path
from p2o.run_folder import one_run_in
with one_run_in(Path(sys.argv[1])):
    print("at work", flush=True)
    sys.stdin.read()
"""


def test_a_second_run_is_kept_out_until_the_first_has_ended_even_by_a_kill(tmp_path):
    first = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(tmp_path)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert first.stdout is not None
    assert first.stdout.readline() == "at work\n"
    said = rf"{tmp_path}: another run is at work here \(process {first.pid}\); stop it first"
    with pytest.raises(UserError, match=said), one_run_in(tmp_path):
        pytest.fail("two runs in one folder")
    first.kill()
    first.wait()
    with one_run_in(tmp_path), one_run_in(tmp_path / ".."):
        pass
    with one_run_in(tmp_path):
        pass
