"""Ranks whose rollouts take unequally many turns stay together, also when one of them fails."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.patience import HANGS

pytestmark = [pytest.mark.slow, pytest.mark.multirank]

RANK = """
import json, sys
from pathlib import Path
import torch.distributed as dist
from p2o.prompt import Prompt
from p2o.running.distributed import rank
from p2o.errors import UserError
from p2o.policy.models import load_policy
from p2o.policy.causal import CausalPolicy
from p2o.rollout.engine import SamplingParameters
from p2o.rollout.hf import HFEngine
from p2o.accounting.journal import Journal, JournaledEngine
from p2o.rollout.rendering import ChatRenderer
from p2o.rollout.runner import RolloutRunner
from p2o.verifiers import ExactMatch

class Turns:
    faulty = False

    async def run(self, problem, hint, sampler):
        for _ in range(int(problem.gold)):
            await sampler.sample(max_new_tokens=2)
            sampler.insert("5")
        if self.faulty and rank() == 1:
            raise KeyError("nothing there")

folder, *place = sys.argv[1:]
if place:
    file = f"file://{folder}/group"
    dist.init_process_group("gloo", init_method=file, rank=int(place[0]), world_size=2)
model, tokenizer = load_policy("embedded:digits")
# Its calls are collective: ranks have to make equally many.
engine = JournaledEngine(HFEngine(model), Journal(Path(folder)))
engine.update_weights(CausalPolicy(model, 1.0))
environment = Turns()
runner = RolloutRunner(engine, ChatRenderer(tokenizer), ExactMatch(), 96, environment)
pairs = [
    (Prompt.create([{"role": "user", "content": f"Add the digits: {n} 4"}], str(turns)), "")
    for n, turns in enumerate((4, 1, 2, 1, 3))
]
rollouts = runner.run(pairs, SamplingParameters(max_new_tokens=9), 7)
print(json.dumps([(r.completion.token_ids, r.completion.loss_mask) for r in rollouts]))
environment.faulty = True
try:
    runner.run(pairs, SamplingParameters(max_new_tokens=9), 8)
    print("no error")
except UserError as error:
    print(error)
"""


def start(folder, *place):
    folder.mkdir(exist_ok=True)
    return subprocess.Popen(
        [sys.executable, "-c", RANK, str(folder), *place],
        cwd=Path(__file__).parents[2],
        stdout=subprocess.PIPE,
        text=True,
    )


def test_two_ranks_make_the_rollouts_of_one(tmp_path):
    two = tmp_path / "two"
    processes = [start(tmp_path / "one"), start(two, "0"), start(two, "1")]
    try:
        said = [process.communicate(timeout=HANGS)[0].splitlines() for process in processes]
    finally:
        for process in processes:
            process.kill()
    alone, *ranks = [json.loads(lines[0]) for lines in said]
    assert [len(set(map(bool, mask))) for _, mask in alone] == [2] * 5
    assert ranks == [alone, alone]
    assert said[0][1] == "no error"
    for lines in said[1:]:
        assert lines[1].startswith("environment Turns: KeyError in line")
        assert lines[1].endswith("('nothing there') (on rank 1)")
