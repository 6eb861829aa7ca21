"""What is no parameter comes out of a run on shards as it went in."""

from typing import Any

import pytest
import torch
from transformers import AutoModelForCausalLM

from tests.rollout.policies import routed, tied

pytestmark = [pytest.mark.slow, pytest.mark.multirank]

SMALL = (
    "data.source.train=8",
    "data.source.held_out=4",
    "data.batch=8",
    "data.mini_batch=8",
    "evolution=none",
    "optimizer.lr=1e-2",
    "trainer.max_epochs=1",
    "trainer.accelerator=cpu",
    "trainer.devices=2",
)


@pytest.mark.parametrize("strategy", ["fsdp2", "fsdp"])
def test_a_buffer_is_in_the_policy_of_a_run_on_shards(p2o_train, tmp_path, tokenizer, strategy):
    start: Any = routed()
    start.save_pretrained(tmp_path / "start")
    tokenizer.save_pretrained(tmp_path / "start")
    path, where = f"model.path={tmp_path}/start", f"hydra.run.dir={tmp_path}/run"
    done = p2o_train(*SMALL, f"trainer={strategy}", path, where)
    assert done.returncode == 0, done.stderr
    trained: Any = AutoModelForCausalLM.from_pretrained(tmp_path / "run" / "policy")
    biases = [m.model.layers[1].mlp.gate.e_score_correction_bias for m in (start, trained)]
    assert torch.equal(*biases)


def test_an_adapter_on_tied_embeddings_is_in_the_policy_of_a_run_on_shards(
    p2o_train, tmp_path, tokenizer
):
    tied().save_pretrained(tmp_path / "start")
    tokenizer.save_pretrained(tmp_path / "start")
    path, where = f"model.path={tmp_path}/start", f"hydra.run.dir={tmp_path}/run"
    lora = "model/adapter=lora", "model.adapter.target_modules=[embed_tokens,q_proj]"
    done = p2o_train(*SMALL, "trainer=fsdp2", *lora, path, where)
    assert done.returncode == 0, done.stderr
    trained = AutoModelForCausalLM.from_pretrained(tmp_path / "run" / "policy")
    assert not trained.config.tie_word_embeddings
    head = tied().lm_head.weight
    assert torch.equal(trained.lm_head.weight, head)
