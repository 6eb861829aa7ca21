"""The callbacks know nothing of p2o, and all of them keep the same promises."""

import ast
import inspect
import io
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from lightning.pytorch import Callback

import p2o_callbacks
from p2o_callbacks import (
    FiniteUpdates,
    FlopsBudget,
    GroupOutcome,
    HardSampleMiner,
    LoopProgress,
    MetricBounds,
    PromptEvolution,
    PromptPool,
    RolloutBudget,
    ShareOfBest,
    ShareOfStart,
    Template,
    TimeBudget,
    TokenBudget,
)

FILES = sorted(Path(p2o_callbacks.__file__).parent.rglob("*.py"))


def imported(tree: ast.AST):
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield "." * node.level + (node.module or "")


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_no_file_imports_p2o(path):
    names = list(imported(ast.parse(path.read_text())))
    roots = {name.split(".")[0] for name in names}
    assert "p2o" not in roots
    assert names or path.stem == "errors"


def test_the_scan_sees_every_module_and_would_find_an_import():
    assert {"__init__", "evolution", "mining", "progress"} <= {path.stem for path in FILES}
    found = list(imported(ast.parse("def f():\n    from p2o.data import loader\nimport p2o, os")))
    assert sorted(found) == ["os", "p2o", "p2o.data"]


@pytest.mark.slow
def test_the_callbacks_can_be_imported_where_p2o_is_not_installed():
    program = """
import sys
class Block:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] == "p2o":
            raise ModuleNotFoundError(name)
sys.meta_path.insert(0, Block())
import p2o_callbacks
try:
    import p2o
except ModuleNotFoundError:
    print(len(p2o_callbacks.__all__))
"""
    done = subprocess.run(
        [sys.executable, "-c", program], check=True, capture_output=True, text=True
    )
    assert done.stdout == f"{len(p2o_callbacks.__all__)}\n"


class NoSearch:
    def evolve(self, hard_set, evaluate, *, group_size, seed, report):
        raise AssertionError("nothing is searched here")

    def deal(self, pool, hard_set, *, group_size, seed):
        raise AssertionError("nothing is dealt out here")


def used_miner():
    miner = HardSampleMiner()
    miner.observe(
        [GroupOutcome("a", (0.0, 0.0), (False,) * 2), GroupOutcome("b", (1.0, 1.0), (True,) * 2)]
    )
    return miner


def used_evolution():
    evolution = PromptEvolution(NoSearch())
    templates = (Template(""), Template("Think.", (0,), 0.5, {"a": 1.0}, frozenset("a")))
    evolution.pool = PromptPool(templates, (1,), {"a": (1, None)})
    evolution.evolved_epoch = 3
    evolution._searched = {"b": (1, 1)}
    return evolution


def used_bounds():
    bounds = MetricBounds("loss", maximum=1.0, patience=3)
    bounds.load_state_dict({"outside": 2})
    return bounds


def used_share(kind=ShareOfStart):
    share = kind()
    share.start = 0.25
    return share


def used_budget(kind):
    budget = kind(1)
    budget.load_state_dict({"learned": True})
    return budget


# A new one of each, and one that has something to remember.
CALLBACKS = {
    FiniteUpdates: (FiniteUpdates, FiniteUpdates),
    FlopsBudget: (lambda: FlopsBudget(1), lambda: used_budget(FlopsBudget)),
    HardSampleMiner: (HardSampleMiner, used_miner),
    LoopProgress: (LoopProgress, LoopProgress),
    MetricBounds: (lambda: MetricBounds("loss"), used_bounds),
    PromptEvolution: (lambda: PromptEvolution(NoSearch()), used_evolution),
    RolloutBudget: (lambda: RolloutBudget(1), lambda: used_budget(RolloutBudget)),
    ShareOfBest: (ShareOfBest, lambda: used_share(ShareOfBest)),
    ShareOfStart: (ShareOfStart, used_share),
    TimeBudget: (lambda: TimeBudget(1), lambda: used_budget(TimeBudget)),
    TokenBudget: (lambda: TokenBudget(1), lambda: used_budget(TokenBudget)),
}
STATELESS = {FiniteUpdates, LoopProgress}


def exported_callbacks():
    exported = [getattr(p2o_callbacks, name) for name in p2o_callbacks.__all__]
    return {c for c in exported if isinstance(c, type) and issubclass(c, Callback)}


def test_the_contract_covers_every_exported_callback():
    assert exported_callbacks() == set(CALLBACKS)
    takes = [c for c in CALLBACKS if inspect.signature(c).parameters]
    assert all("Args:" in (c.__doc__ or "") for c in takes)


@pytest.mark.parametrize("kind", CALLBACKS, ids=lambda kind: kind.__name__)
def test_state_loads_without_pickle_into_a_new_callback(kind):
    make, make_used = CALLBACKS[kind]
    used, new = make_used(), make()
    file = io.BytesIO()
    torch.save(used.state_dict(), file)
    file.seek(0)
    state = torch.load(file, weights_only=True)
    assert bool(state) == (kind not in STATELESS)
    assert (new.state_dict() != state) == (kind not in STATELESS)
    new.load_state_dict(state)
    assert new.state_dict() == used.state_dict() == state


@pytest.mark.parametrize("kind", CALLBACKS, ids=lambda kind: kind.__name__)
def test_state_taken_is_not_changed_by_what_comes_later(kind):
    callback = CALLBACKS[kind][1]()
    state = callback.state_dict()
    before = repr(state)
    if isinstance(callback, HardSampleMiner):
        callback.observe([GroupOutcome("later", (0.0, 0.0), (False,) * 2)])
    if isinstance(callback, PromptEvolution):
        callback.pool = PromptPool()
    assert repr(state) == before
