"""What a user sees of a program that is interrupted."""

import os
import signal
import subprocess
import sys

import pytest

from p2o.running.console import ended_by_interrupt


def test_ctrl_c_is_one_line_and_the_status_that_shells_expect(capsys):
    @ended_by_interrupt
    def main() -> None:
        os.kill(os.getpid(), signal.SIGINT)
        signal.pause()

    with pytest.raises(SystemExit) as stopped:
        main()
    assert stopped.value.code == 130
    assert capsys.readouterr().err == "\nstopped by Ctrl-C\n"


@pytest.mark.slow
def test_bars_of_libraries_are_for_terminals_alone():
    program = (
        "from tqdm.auto import tqdm\n"
        "from p2o.running.console import quieten_libraries\n"
        "quieten_libraries()\n"
        "print(len(list(tqdm(range(300)))))\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert (done.stdout, done.stderr) == ("300\n", "")
