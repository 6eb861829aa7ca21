"""Every option of every group composes and trains two optimiser steps with a search between."""

import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
import torch
from transformers import AutoModelForCausalLM

from p2o.configuration.build import conf_directory

pytestmark = pytest.mark.slow

SMALL = (
    "data.source.train=8",
    "data.source.held_out=4",
    "data.batch=8",
    "data.mini_batch=8",
    "data.group_size=3",
    "trainer.max_epochs=2",
    "data.max_prompt_tokens=240",
    "sampling.train.max_new_tokens=16",
)
# One step an epoch; the long problems are hard, so that there is a search.
SEARCH = (
    "data.source.short_share=0.5",
    "evolution.evolver.budget=40",
    "evolution.evolver.dev_size=4",
    "evolution.evolver.minimum=2",
)
DIGITS = "model.path=embedded:digits"
UNTRIED = {"random_template", "in_training", "fixed"}
UNTRIED |= {"solution_share", "annealed_share", "adaptive_share"}
UNTRIED |= {"assistant_prefix"}
"""Searches that try nothing."""
OTHER_SEARCHES = {"single_turn_reflection", "demonstrations", "similar_demonstrations"}
OTHER_SEARCHES |= {"searched_share", "tiered", "svamp_tiers", "self_hint", *UNTRIED}


def options() -> list[Any]:
    """Group and option of each yaml file below `conf`."""
    root = conf_directory()
    found = sorted(path.relative_to(root) for path in root.glob("*/**/*.yaml"))
    return [
        pytest.param(
            path.parent.as_posix(),
            path.stem,
            marks=[pytest.mark.gpu] if path.stem == "gpu" else [],
            id=f"{path.parent.as_posix()}={path.stem}",
        )
        for path in found
        # With a real engine and a model that it can run: tests/engines/test_training.py. With
        # ranks, whose process group would stay: test_two_ranks.py. p2o-eval's: tests/evaluation,
        # p2o-bench's: tests/bench. Too large to be trained: tests/test_paper_experiments.py.
        # Together: test_mixture.py. Of another run: tests/reflection/test_replay.py.
        if not path.stem.startswith("vllm")
        and path.stem not in ("ddp", "fsdp", "fsdp2", "mixture", "by_source", "paper", "replay")
        and path.parent.name not in ("suite", "arm", "bench")
    ]


@pytest.fixture
def service():
    """The address of an endpoint that writes the same template and gives the same reward always."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            self.answer({"data": []})

        def do_POST(self):
            asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            if self.path == "/score":
                self.answer({"scores": [1 / 2] * len(asked["responses"])})
                return
            message = {"role": "assistant", "content": "```\nwork slowly\n```"}
            self.answer({"choices": [{"message": message, "finish_reason": "stop"}], "usage": {}})

        def answer(self, body):
            data = json.dumps(body).encode()
            self.send_response(200)
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        def log_message(self, format, *args):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


@pytest.fixture
def needs(tmp_path, service, monkeypatch):
    """What an option needs besides its name: a local file for a hub's, an endpoint, a model."""
    rows = [
        {
            **dict.fromkeys(("Body", "problem", "question"), f"Add {n} 4."),
            "Question": "?",
            **dict.fromkeys(("Answer", "answer", "final_answer"), str(n % 6 + 4)),
            "tests": f"assert f({n}) == {n + 4}",
            "marked": f"Four more. #### {n + 4}",
            **{"difficulty": 8.0, "topic": "sums", "type": "sums", "Type": "Addition"},
            "Equation": f"{n} + 4",
        }
        for n in range(16)
    ]
    table = tmp_path / "rows.jsonl"
    table.write_text("\n".join(map(json.dumps, rows)))
    (tmp_path / "rewards.py").write_text(
        "def score(responses, prompts): return [0.5] * len(prompts)\n"
        "def reward(completion, answer): return answer in completion\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setenv("MLFLOW_ALLOW_FILE_STORE", "true")
    # Sentences are many unknown words to the embedded policy, and any of its answers will do.
    table_of_rows = [f"data.source.path={table}", "evolution=none"]
    made = ["data=reasoning_gym", "verifier=reasoning_gym", "evolution=none"]
    return {
        ("data", "deepmath"): table_of_rows,
        ("data", "deepscaler"): table_of_rows,
        ("data", "file"): table_of_rows,
        ("data", "gsm8k"): [*table_of_rows, "data.source.name=null", "data.source.answer=marked"],
        ("data", "math"): table_of_rows,
        ("data", "reasoning_gym"): made,
        ("data", "svamp"): table_of_rows,
        ("verifier", "external"): ["verifier.function=rewards:score"],
        ("verifier", "function"): [f"verifier.path={tmp_path}/rewards.py:reward"],
        ("verifier", "http_service"): [f"verifier.url={service}/score"],
        ("verifier", "multiple_choice"): [
            *("data=svamp", *table_of_rows, "verifier.first_index=4", "verifier.choices=6")
        ],
        ("verifier", "python_tests"): ["data=svamp", *table_of_rows, "data.source.answer=tests"],
        ("verifier", "reasoning_gym"): made,
        # Without a server and a database.
        ("logger", "mlflow"): [f"logger.mlflow.tracking_uri=file:{tmp_path}/mlruns"],
        # It is right often enough that three rollouts of every problem may be alike.
        ("model", "digits_willing"): ["data.group_size=8"],
        ("model", "qwen3_4b"): [DIGITS],
        ("model", "smollm2_135m"): [DIGITS],
        ("model", "qwen2.5_coder_0.5b"): [DIGITS],
        ("experiment", "gsm8k"): [
            *(DIGITS, "trainer=cpu", *table_of_rows),
            *("data.source.name=null", "data.source.answer=marked"),
        ],
        ("experiment", "own_file"): [
            *(DIGITS, "trainer=cpu", *table_of_rows, f"verifier.path={tmp_path}/rewards.py:reward")
        ],
        ("experiment", "smollm2_svamp"): [DIGITS, *table_of_rows],
        ("experiment", "svamp_number"): [DIGITS, *table_of_rows],
        ("experiment", "svamp_operation"): [DIGITS, *table_of_rows],
        # The columns of its own problems; those of the embedded world are others.
        ("evolution", "svamp_tiers"): ["evolution.evolver.tiers=['It begins: {solution:20%}']"],
        ("reflection", "teacher"): [f"reflection.base_url={service}/v1", "reflection.model=any"],
        ("reflection", "self"): ["reflection.max_new_tokens=8"],
        ("reflection", "policy"): ["reflection.max_new_tokens=8"],
        ("reflection", "hint_writer"): ["reflection.max_new_tokens=8"],
        ("hints", "self_hint"): ["reflection=phrasebook"],
        ("allocation", "expected_gain"): ["mining.threshold=0.34"],
        ("teacher", "moving_average"): ["distillation=reverse_kl"],
        ("reference", "initial"): ["algorithm.kl.coefficient=0.01"],
    }


@pytest.mark.parametrize(("group", "option"), options())
def test_two_steps_of_every_option(train_here, needs, group, option):
    more = needs.get((group, option), [])
    searched = "evolution=none" not in more and (group, option) not in (
        ("evolution", "none"),
        ("experiment", "grpo"),
    )
    search = [s for s in SEARCH if searched and keeps(option, s)]
    folder = train_here(f"{group}={option}", *SMALL, *search, *more)
    summary = json.loads((folder / "summary.json").read_text())
    assert summary["accuracy"]["after"] >= 0
    AutoModelForCausalLM.from_pretrained(folder / "policy")
    last = torch.load(folder / "checkpoints" / "last.ckpt", weights_only=True)
    # A step without any gradient is counted as a batch and not as an update.
    assert last["loops"]["fit_loop"]["epoch_loop.batch_progress"]["total"]["completed"] == 2
    assert all(value.isfinite().all() for value in last["state_dict"].values())
    if searched and option not in UNTRIED:
        assert summary["ledger"]["evolution"]["metric_calls"] > 0


def keeps(option: str, setting: str) -> bool:
    """Whether an evolver other than gepa's has this setting."""
    if option in OTHER_SEARCHES:
        return not setting.startswith(("evolution.evolver.budget", "evolution.evolver.dev_size"))
    return True
