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


@pytest.mark.slow
@pytest.mark.parametrize(
    ("entry", "arguments", "said", "status"),
    [
        ("train", ["data.foo=1"], "error: data.foo: no such key; ", 2),
        ("train", ["-m", "data.foo=1,2"], "error: data.foo: no such key; ", 2),
        ("train", ["distillation=hard"], "error: distillation=hard: no such option; ", 2),
        ("train", ["train"], "error: 'train' is no setting", 2),
        ("train", ["--config-dir=nowhere"], "error: --config-dir=nowhere: no such folder", 2),
        ("train", ["--help"], "p2o-train: train a language model", 0),
        ("train", ["--cfg", "job", "--package", "data"], "# @package data", 0),
        ("train", ["--version"], f"p2o-train {version('p2o-rl')}\n", 0),
        ("evaluate", ["suit=aime24"], "error: suit: no such key; ", 2),
        ("evaluate", ["--version"], f"p2o-eval {version('p2o-rl')}\n", 0),
        ("bench", ["budget.rolouts=5"], "error: budget.rolouts: no such key; ", 2),
        ("bench", ["--version"], f"p2o-bench {version('p2o-rl')}\n", 0),
        ("data", ["inspect", "data.foo=1"], "error: data.foo: no such key; ", 2),
        ("doctor", ["data.foo=1", "--hints", "2"], "error: data.foo: no such key; ", 2),
        ("export", ["--version"], f"p2o-export {version('p2o-rl')}\n", 0),
        ("export", ["--help"], "usage: p2o-export", 0),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_it_is_said_at_once(tmp_path, entry, arguments, said, status):
    program = LOOK.format(entry=entry, arguments=[f"p2o-{entry}", *arguments])
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=tmp_path, capture_output=True, text=True
    )
    *lines, last = done.stderr.splitlines()
    assert last == str(status)
    assert "\n".join([done.stdout, *lines]).lstrip().startswith(said)
    assert not list(tmp_path.iterdir())


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
