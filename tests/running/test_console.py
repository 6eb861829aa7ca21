"""What a user sees of a program that is interrupted."""

import os
import signal

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
