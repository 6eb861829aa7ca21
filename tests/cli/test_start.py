"""What a command can say without torch is said before torch is imported."""

import subprocess
import sys
from importlib.metadata import version

import pytest

LOOK = """
import sys
from p2o.cli.start import {entry}
sys.argv = {arguments!r}
status = 0
try:
    {entry}()
except SystemExit as end:
    status = end.code
heavy = [name for name in ("torch", "lightning", "transformers", "datasets") if name in sys.modules]
print(status, *heavy, file=sys.stderr)
"""

MISSING = "no value and no default; give it a value"
FUNCTION = ["verifier=function", "verifier.path=nope.py:f"]


def start(folder, entry, arguments):
    """What is said, with which status, and the large libraries that were imported for it."""
    program = LOOK.format(entry=entry, arguments=[f"p2o-{entry}", *arguments])
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=folder, capture_output=True, text=True
    )
    *lines, last = done.stderr.splitlines()
    status, *heavy = last.split()
    assert not list(folder.iterdir())
    return "\n".join([done.stdout, *lines]).lstrip(), status, heavy


@pytest.mark.slow
@pytest.mark.parametrize(
    ("entry", "arguments", "said", "status"),
    [
        ("train", ["data.foo=1"], "error: data.foo: no such key; ", 2),
        ("train", ["-m", "data.foo=1,2"], "error: data.foo: no such key; ", 2),
        ("train", ["optimizer.lr=abc"], "error: optimizer.lr=abc: give a number of at most 1", 2),
        ("train", ["-m", "optimizer.lr=1e-4,abc"], "error: optimizer.lr=abc: give a number of", 2),
        ("train", ["trainer.max_epochs=x"], "error: trainer.max_epochs=x: give a whole number", 2),
        ("train", ["verifier.seconds=abc"], "error: verifier.seconds=abc: give a number", 2),
        ("train", ["sampling.train.top_p=2"], "error: sampling.train.top_p=2: give a number ab", 2),
        ("train", ["--cfg", "job", "seed=abc", "--package", "data"], "# @package data", 0),
        ("train", ["distillation=hard"], "error: distillation=hard: no such option; ", 2),
        ("train", ["experiment=own_file"], f"error: data.source.path: {MISSING}", 2),
        ("train", ["rollout=vllm_server"], f"error: rollout.urls: {MISSING}", 2),
        ("train", ["reflection=teacher"], f"error: reflection.base_url: {MISSING}", 2),
        ("train", [*FUNCTION, "seed=1"], "error: verifier.path=nope.py:f: no such file ", 2),
        ("train", ["-m", *FUNCTION, "seed=0,1"], "error: verifier.path=nope.py:f: no such file", 2),
        ("train", ["--cfg", "job", "data=file", "--package", "data"], "# @package data", 0),
        ("train", ["train"], "error: 'train' is no setting", 2),
        ("train", ["--config-dir=nowhere"], "error: --config-dir=nowhere: no such folder", 2),
        ("train", ["--help"], "p2o-train: train a language model", 0),
        ("train", ["--cfg", "job", "--package", "data"], "# @package data", 0),
        ("train", ["--version"], f"p2o-train {version('p2o-rl')}\n", 0),
        ("evaluate", ["chunk=0"], "error: chunk=0: give a whole number of at least 1", 2),
        ("evaluate", ["suit=aime24"], "error: suit: no such key; ", 2),
        ("evaluate", ["run=nowhere"], "error: nowhere: not a run directory of p2o-train ", 2),
        ("evaluate", ["suite=held_out"], f"error: benchmarks.held_out.table.source: {MISSING}", 2),
        ("evaluate", FUNCTION, "error: verifier.path=nope.py:f: no such file ", 2),
        ("evaluate", ["--version"], f"p2o-eval {version('p2o-rl')}\n", 0),
        ("bench", ["budget.rolouts=5"], "error: budget.rolouts: no such key; ", 2),
        ("bench", ["seeds=abc"], "error: seeds=abc: give a whole number of at least 1 or a", 2),
        ("bench", ["--version"], f"p2o-bench {version('p2o-rl')}\n", 0),
        ("data", ["inspect", "data.foo=1"], "error: data.foo: no such key; ", 2),
        ("data", ["inspect", "data.batch=0"], "error: data.batch=0: give a whole number of at", 2),
        ("data", ["inspect", "data=file"], f"error: data.source.path: {MISSING}", 2),
        ("data", ["contamination", "data=file"], f"error: data.source.path: {MISSING}", 2),
        ("doctor", ["experiment=own_file"], f"error: data.source.path: {MISSING}", 2),
        ("doctor", FUNCTION, "error: verifier.path=nope.py:f: no such file ", 2),
        ("doctor", ["data.batch=0"], "error: data.batch=0: give a whole number of at least 1", 2),
        ("doctor", ["data.foo=1", "--hints", "2"], "error: data.foo: no such key; ", 2),
        ("export", ["--version"], f"p2o-export {version('p2o-rl')}\n", 0),
        ("export", ["--help"], "usage: p2o-export", 0),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_it_is_said_at_once(tmp_path, entry, arguments, said, status):
    told, *rest = start(tmp_path, entry, arguments)
    assert rest == [str(status), []]
    assert told.startswith(said)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("typed", "meant"),
    [
        ("trainer.max_epoch", "trainer.max_epochs"),
        ("evolution.evolver.budgt", "evolution.evolver.budget"),
        ("rollout.max_batch", "rollout.max_batch_size"),
        ("checkpoint.save_topk", "checkpoint.save_top_k"),
        ("logger.csv.nam", "logger.csv.name"),
        ("sampling.train.max_tokens", "sampling.train.max_new_tokens"),
    ],
)
def test_a_slip_is_told_at_once_with_the_key_that_was_meant(tmp_path, typed, meant):
    said = f"error: {typed}: no such key; did you mean {meant}?"
    assert start(tmp_path, "train", [f"{typed}=1"]) == (said, "2", [])


INTERRUPTED = """
import sys
from p2o.cli.start import train

class Interrupt:
    def find_spec(self, name, path=None, target=None):
        if name == "torch":
            raise KeyboardInterrupt

sys.meta_path.insert(0, Interrupt())
sys.argv = ["p2o-train"]
train()
"""


def test_ctrl_c_while_libraries_are_imported_is_no_traceback(tmp_path):
    done = subprocess.run(
        [sys.executable, "-c", INTERRUPTED], cwd=tmp_path, capture_output=True, text=True
    )
    assert (done.returncode, done.stderr.strip()) == (130, "stopped by Ctrl-C")
