"""Engines that fail, and weights that do not arrive."""

import os
import signal

import pytest
import torch

from p2o.errors import EngineError, UserError
from p2o.policy.causal import CausalPolicy
from p2o.rollout.engine import SamplingParameters
from p2o.rollout.probe import WeightProbe
from p2o.rollout.vllm_server import vllm_server_engine
from tests.engines.conftest import make_policy, save, serving, vllm, vllm_server

pytestmark = pytest.mark.engines

PROMPTS = [[1, 7, 9], [1, 11, 12, 13, 14, 5]]
keeps_weights = pytest.mark.parametrize(
    "started", [vllm, vllm_server], indirect=True, ids=["vllm", "vllm_server"]
)
SAMPLING = SamplingParameters(max_new_tokens=4)


@keeps_weights
def test_weights_that_do_not_arrive_stop_the_run(subject, monkeypatch):
    engine = subject.engine
    engine.generate(PROMPTS, SAMPLING, [0, 1])
    monkeypatch.setattr(engine.backend, "load", lambda weights: None)
    subject.policy.load_state_dict(subject.other.state_dict())
    subject.follow()
    with pytest.raises(EngineError, match="some weights did not arrive"):
        engine.generate(PROMPTS, SAMPLING, [0, 1])
    engine.backend.version = ""


@keeps_weights
def test_weights_of_a_single_layer_that_do_not_arrive_stop_the_run(subject, monkeypatch):
    engine, load = subject.engine, subject.engine.backend.load
    engine.generate(PROMPTS, SAMPLING, [0, 1])
    old = {name: weight.clone() for name, weight in subject.policy.state_dict().items()}

    def forget(weights):
        load((name, old[name] if "layers.1.mlp" in name else weight) for name, weight in weights)

    monkeypatch.setattr(engine.backend, "load", forget)
    subject.policy.load_state_dict(subject.other.state_dict())
    subject.follow()
    with pytest.raises(EngineError, match="some weights did not arrive"):
        engine.generate(PROMPTS, SAMPLING, [0, 1])
    engine.backend.version = ""


def test_a_server_that_dies_ends_the_run_with_one_line(tmp_path, caplog):
    policy = make_policy()
    save(policy, tmp_path)
    with serving(tmp_path, "--load-format", "dummy") as (url, server):
        engine = vllm_server_engine(policy, [url], probe_bound=0.01)
        assert len(engine.generate(PROMPTS, SAMPLING, [0, 1])) == 2
        os.killpg(server.pid, signal.SIGKILL)
        server.wait()
        with pytest.raises(EngineError, match="^urls: no server answers any more"):
            engine.generate(PROMPTS, SAMPLING, [0, 1])
        [warning] = caplog.messages
        assert warning.startswith(f"urls: {url}")


def test_the_work_of_a_server_that_dies_goes_to_the_others(tmp_path, server, caplog):
    policy = make_policy()
    save(policy, tmp_path)
    with serving(tmp_path, "--load-format", "dummy") as (url, other):
        engine = vllm_server_engine(policy, [server, url], probe_bound=0.01)
        whole = engine.generate(PROMPTS * 20, SAMPLING, range(40))
        os.killpg(other.pid, signal.SIGKILL)
        other.wait()
        again = engine.generate(PROMPTS * 20, SAMPLING, range(40))
        assert [c.token_ids for c in again] == [c.token_ids for c in whole]
        policy.load_state_dict(make_policy(seed=1).state_dict())
        engine.update_weights(CausalPolicy(policy, 1.0))
        assert len(engine.generate(PROMPTS, SAMPLING, [0, 1])) == 2
    assert len(caplog.messages) == 1


def test_a_server_that_is_not_there_is_refused_at_once():
    with pytest.raises(UserError, match="http://127.0.0.1:9 does not answer"):
        vllm_server_engine(make_policy(), ["http://127.0.0.1:9"])
    with pytest.raises(UserError, match="^urls: give the address"):
        vllm_server_engine(make_policy(), [])


def test_an_engine_that_stays_where_it_was_is_found_though_it_is_close():
    probe = WeightProbe(bound=1.0)
    engine = torch.tensor([[-1.0, -2.0], [-1.0, -2.0]])
    probe.check(engine, engine[0])
    probe.check(engine, engine[0] + 1e-6)
    moved = torch.tensor([[-1.1, -2.1], [-1.0, -2.0]])
    with pytest.raises(EngineError, match="no weights arrived"):
        probe.check(moved, moved[0])
