"""A search says what it does where no progress bar shows it."""

import logging
import subprocess
import sys

import pytest

from p2o_callbacks import EvolutionProgress, HardSampleMiner, PromptEvolution
from p2o_callbacks.spoken import SpokenSearch
from tests.callbacks.conftest import ForeignProject, OneTemplate
from tests.patience import HANGS

SAID = [
    "evolution: searching templates for 3 hard samples",
    "evolution: 1 template for 3 hard samples",
]


def fit_two_epochs(folder):
    evolution = PromptEvolution(OneTemplate())
    ForeignProject(folder).fit([HardSampleMiner(), evolution], epochs=2)


def test_a_program_that_shows_its_messages_gets_them_from_the_callbacks(tmp_path, caplog):
    with caplog.at_level(logging.INFO, "p2o_callbacks"):
        fit_two_epochs(tmp_path)
    said = [r.getMessage() for r in caplog.records if r.name.startswith("p2o_callbacks")]
    assert said == SAID


@pytest.mark.slow
def test_a_program_that_sets_up_nothing_still_sees_what_the_search_does(tmp_path):
    program = (
        "import pathlib, sys\n"
        "from tests.callbacks.test_spoken import fit_two_epochs\n"
        "fit_two_epochs(pathlib.Path(sys.argv[1]))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, str(tmp_path)],
        capture_output=True,
        text=True,
        check=True,
        timeout=HANGS,
    )
    said = [line for line in done.stderr.splitlines() if line.startswith("evolution")]
    assert said == SAID


def test_a_long_search_says_no_more_than_a_few_lines(caplog):
    with caplog.at_level(logging.INFO, "p2o_callbacks"):
        display = SpokenSearch("evolution", 40)
        for calls in range(0, 601, 10):
            display.evolution_progress(EvolutionProgress(calls, 600, calls / 600, 2))
    said = [record.getMessage() for record in caplog.records]
    assert len(said) == 1 + 5
    assert said[-1] == "evolution: 600/600 metric calls, best dev 1.00, pool 2"
