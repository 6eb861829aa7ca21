"""What a user gives wrong is said in one line, before anything is spent."""

import json
import logging
import signal
import socket
import sys
from importlib.metadata import version
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from hydra.core.global_hydra import GlobalHydra
from hydra.core.hydra_config import HydraConfig
from lightning.pytorch import Trainer

from p2o.accounting.ledger import Ledger
from p2o.cli.data import main as inspect
from p2o.cli.eval import main as evaluate
from p2o.cli.export import main as export
from p2o.cli.train import main
from p2o.data.sources import DigitLists
from p2o.errors import EngineError
from p2o.learning.datamodule import RolloutDataModule
from p2o.learning.sizes import BatchSizes
from p2o.rollout.engine import Completion, SamplingParameters
from p2o.rollout.rendering import ChatRenderer
from p2o.rollout.runner import RolloutRunner
from p2o.running.preemption import Preempted
from p2o.verifiers import Numeric, Score, Status

pytestmark = pytest.mark.slow

SMALL = (
    "data.source.train=16",
    "data.source.held_out=8",
    "data.batch=8",
    "data.mini_batch=8",
    "evolution=none",
)


@pytest.fixture
def in_process(tmp_path, monkeypatch, capsys):
    """Run the command line in this process; returns its status and stderr."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PL_GLOBAL_SEED", "0")
    monkeypatch.setattr("datasets.config.HF_HUB_OFFLINE", True)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    loggers = [logging.getLogger(name) for name in (None, "p2o", "p2o_callbacks")]
    kept = [(each, list(each.handlers), each.level) for each in loggers]
    precision = torch.get_float32_matmul_precision()

    def run(*arguments: str) -> tuple[int, str]:
        monkeypatch.setattr(sys, "argv", ["p2o-train", *arguments])
        capsys.readouterr()
        with pytest.raises(SystemExit) as stopped:
            main()
        assert isinstance(stopped.value.code, int)
        return stopped.value.code, capsys.readouterr().err

    yield run
    GlobalHydra.instance().clear()
    HydraConfig.instance().cfg = None
    for each, handlers, level in kept:
        each.handlers[:] = handlers
        each.setLevel(level)
    torch.set_float32_matmul_precision(precision)


@pytest.fixture
def refused(in_process, monkeypatch):
    """Run what must be refused with one line alone and nothing spent; returns the line."""

    def spend(*arguments: Any, **keywords: Any) -> None:
        raise AssertionError("training or evaluation began")

    monkeypatch.setattr(Trainer, "fit", spend)
    monkeypatch.setattr(Trainer, "validate", spend)

    def run(*arguments: str) -> str:
        status, stderr = in_process(*arguments)
        return the_error(status, stderr)

    return run


def the_error(status: int, stderr: str) -> str:
    """The message, when it is all that was said, but that a slow machine is still at work."""
    assert status == 2, stderr
    [line] = [each for each in stderr.splitlines() if not each.startswith("start: loading ")]
    assert line.startswith("error: ")
    return line.removeprefix("error: ")


@pytest.fixture
def dead_port() -> int:
    """A port where nobody listens."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


def test_the_fixture_would_notice_that_training_began(refused):
    with pytest.raises(AssertionError, match="training or evaluation began"):
        refused(*SMALL)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["trainer.max_epoch=3"], "trainer.max_epoch: no such key; did you mean trainer.max_epo"),
        (["distillation=hard"], "distillation=hard: no such option; there are "),
        (["train"], "'train' is no setting"),
        (["mining.threshold=7", "data.group_size=6"], "mining.threshold=7 is above data.group_si"),
        (["mining.threshold=0"], "mining.threshold=0: "),
        (
            ["evolution.callback.bare_rollouts=-1", "plan=true"],
            "evolution.callback.bare_rollouts=-1: give at least 0",
        ),
        (
            ["evolution.callback.bare_rollouts=6", "data.group_size=6"],
            "evolution.callback.bare_rollouts=6 leaves no rollout of data.group_size=6 for a hint",
        ),
        (
            ["mining.threshold=5", "evolution.callback.bare_rollouts=2", "data.group_size=6"],
            "mining.threshold=5: with evolution.callback.bare_rollouts=2 only 4 of "
            "data.group_size=6 rollouts have a hint, so a sample would stay hard though its hint "
            "always works; give a threshold of at most 4, or fewer bare_rollouts",
        ),
        (
            ["mining.threshold=0.67", "evolution.callback.bare_rollouts=2", "data.group_size=6"],
            "mining.threshold=0.67: with evolution.callback.bare_rollouts=2 only 4 of "
            "data.group_size=6 rollouts have a hint, so a sample would stay hard though its hint "
            "always works; give a threshold of at most 0.666, or fewer bare_rollouts",
        ),
        (["data.group_size=1"], "data.group_size=1: a group of one has no contrast"),
        (["data.batch=0"], "data.batch=0: give a whole number of at least 1"),
        (["data.batch=many"], "data.batch=many: give a whole number of at least 1"),
        (["data.mini_batch=32"], "data.mini_batch=32 is above data.batch=16"),
        (["data.source.train=0"], "data.source.train=0: give at least 1"),
        (["data.overlong=cut"], "data.overlong=cut: give drop or refuse"),
        (["data.max_prompt_tokens=5"], "data.max_prompt_tokens=5: 128 of 128 train prompts are"),
        (["data.max_prompt_tokens=5", "data.overlong=drop"], "data: no train prompts are left"),
        (["seed=one"], "seed=one: give a whole number"),
        (["ckpt_path=nowhere/last.ckpt"], "ckpt_path=nowhere/last.ckpt: no such checkpoint"),
        (
            ["model.path=nowhere/there", "evolution=none"],
            "model.path=nowhere/there: cannot be loaded (",
        ),
        (["model.path=embedded:letters"], "model.path=embedded:letters: the embedded models are"),
        (["model.dtype=float33"], "model.dtype=float33: give a text such as float32"),
        (["reflection=teacher"], "reflection.base_url: "),
        (["sampling.train.top_p=0.5"], "sampling.train.top_p=0.5: training takes the probabilit"),
        (["sampling.train.top_k=5"], "sampling.train.top_k=5: training takes the probabilities"),
        (
            ["sampling.train.stop_token_ids=[999999]"],
            "sampling.train.stop_token_ids: there is no token 999999; the tokenizer has 0 to ",
        ),
        (
            ["algorithm=rl_zvp", "distillation=rlsd", "evolution=none"],
            "algorithm=rl_zvp: shapes by entropy what a group without contrast learns, and here",
        ),
        (["rollout=vllm_server"], "rollout.urls: no value and no default; give it a value"),
        (
            ["trainer=fsdp2", "save_policy=adapter", "model/adapter=lora"],
            "save_policy=adapter: of a",
        ),
        (
            ["trainer=fsdp2", "teacher=moving_average", "distillation=reverse_kl"],
            "teacher=moving_average: cannot average a policy in shards; use trainer=ddp",
        ),
        (
            ["allocation=expected_gain"],
            "mining.threshold=2 counts successes, and this allocation makes groups of unequal",
        ),
        (
            ["allocation=expected_gain", "evolution=none", "allocation.low=8"],
            "allocation.low=8 and high=128: group_size=6 is the mean of all groups",
        ),
        (
            ["distillation=reverse_kl_top_k", "algorithm=gspo"],
            "algorithm.loss.ratio=sequence: is about one token at each place",
        ),
        (
            ["evolution=in_training", "distillation=reverse_kl"],
            "evolution=in_training: training tries templates, and this distillation rolls nothing",
        ),
        (
            ["evolution=random_template", "model=qwen3_4b", "reflection=self"],
            "evolution.evolver.path: the phrases that come with p2o mean something in the",
        ),
        (
            ["hints=fixed", "model=qwen3_4b"],
            "evolution.evolver.hints: the phrases that come with p2o mean something in the",
        ),
        (
            ["hints=adaptive_share", "distillation=rlsd"],
            "hints=adaptive_share: follows the success of rollouts with hints, and this",
        ),
        (
            ["hints=fixed", "held_out_hint=best"],
            "held_out_hint=best: this search tries none of its hints, so that none is known to",
        ),
        (
            ["evolution=random_template", "held_out_hint=best"],
            "held_out_hint=best: this search tries none of its hints",
        ),
        (["teacher=moving_average"], "teacher=moving_average: nothing is graded by a teacher"),
        (["teacher=moving_average", "teacher.rate=0"], "teacher.rate=0: give a number above 0"),
        (["trainer=fsdp2", "optimizer=adamw_8bit"], "optimizer=adamw_8bit: its state cannot be sh"),
        (["trainer=fsdp", "optimizer=muon"], "optimizer=muon: needs whole matrices, not flat"),
        (
            ["trainer=fsdp", "model/adapter=lora", "reference=initial"],
            "reference=initial: without its adapter, a policy in flat shards cannot be read",
        ),
        (["module.compile_backend=fast"], "module.compile_backend=fast: give a text with a"),
        (["trainer=fsdp2", "trainer.strategy.compute_dtype=b"], "trainer.strategy.compute_dtype=b"),
        (["optimizer._target_=torch.optim.Adma"], "optimizer: cannot make torch.optim.Adma"),
        (["trainer.val_check_interval=99"], "trainer.val_check_interval=99: an epoch has 8 steps"),
        (
            ["trainer.val_check_interval=3", "+trainer.limit_train_batches=2"],
            "trainer.val_check_interval=3: an epoch has 2 steps",
        ),
        (
            ["+trainer.limit_train_batches=3", "trainer.accumulate_grad_batches=2"],
            "+trainer.limit_train_batches=3: leaves 3 of an epoch's 16 steps, and an update takes "
            "trainer.accumulate_grad_batches=2; give a whole number that is a multiple of 2",
        ),
        (
            ["+trainer.limit_train_batches=0.2", "trainer.accumulate_grad_batches=2"],
            "+trainer.limit_train_batches=0.2: leaves 3 of an epoch's 16 steps",
        ),
        (
            ["+trainer.precision=transformer-engine"],
            "trainer.precision=transformer-engine: give 64, 32, 16",
        ),
        (
            ["drop_failed_templated=true", "distillation=rlsd"],
            "drop_failed_templated=true: is about responses that are sampled with a hint, and this "
            "distillation samples all without; leave it out, or take distillation=tapered",
        ),
        (
            ["baseline=bare_success_rate", "distillation=reverse_kl_top_k"],
            "baseline=bare_success_rate: is about responses that are sampled with a hint, and this",
        ),
        (
            ["drop_failed_templated=true", "evolution=none"],
            "drop_failed_templated=true: is about responses that are sampled with a hint, and "
            "evolution=none gives none; leave it out, or take a search",
        ),
        (
            ["baseline=bare_success_rate", "evolution=none"],
            "baseline=bare_success_rate: is about responses that are sampled with a hint, and evol",
        ),
        (
            ["trainer.max_epochs=-1", "scheduler=cosine"],
            "trainer.max_epochs=-1: a run without an",
        ),
        (["model.adapter=5"], "model.adapter=5: give a part, which is a mapping with _target_"),
        (["trainer.accelerator=abacus"], "trainer: cannot make lightning.pytorch.Trainer ("),
        (["+trainer.epochs=1"], "trainer.epochs: no such key; did you mean min_epochs, max"),
        (
            ["verifier_guard.max_error_share=2"],
            "verifier_guard.max_error_share=2: give a number",
        ),
        (
            ["trainer.max_epochs=${nowhere}"],
            "trainer.max_epochs: Interpolation key 'nowhere' not found",
        ),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_a_setting_that_cannot_work_is_named_before_anything_is_spent(refused, arguments, said):
    assert refused(*arguments).startswith(said)


@pytest.mark.parametrize(
    "arguments",
    [
        "mining.threshold=7",
        "model.path=nowhere/there",
        "optimizer.lr=-1",
        "hydra.run.dir=a/b seed=x",
        "-m seed=0,1 model.path=nowhere/there",
    ],
)
def test_a_refused_run_leaves_no_folder(refused, tmp_path, arguments):
    assert refused(*arguments.split())
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("ended_by", "status"),
    [(EngineError("nobody answers at http://me"), 4), (Preempted(signal.SIGINT), 130)],
    ids=["engine", "Ctrl-C"],
)
def test_nor_does_one_that_has_ended_before_it_began(
    in_process, monkeypatch, tmp_path, ended_by, status
):
    def end(*arguments: Any) -> None:
        raise ended_by

    monkeypatch.setattr("p2o.cli.train.assemble", end)
    ended_with, said = in_process(*SMALL)
    assert ended_with == status
    assert "goes on" not in said
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (json.dumps([{"Body": "One cat.", "Answer": "1"}] * 3), "data.source.question: no column"),
        (json.dumps([{"Body": "A", "Question": "B?"}]), "data.source.answer: no column 'Answer'"),
        ("", "data.source.path=rows.json: the file is empty"),
        ("[]", "data.source.path=rows.json: there are no rows in it"),
        ('[{"Body": ', "data.source.path=rows.json: cannot be read as json"),
        (None, "data.source.path=rows.json: no such file"),
    ],
    ids=["no question column", "no answer column", "empty", "no rows", "broken", "missing"],
)
def test_a_data_file_that_cannot_be_used_is_named(refused, tmp_path, content, said):
    if content is not None:
        (tmp_path / "rows.json").write_text(content)
    line = refused("data=svamp", "data.source.path=rows.json")
    assert line.startswith(said)
    assert "rows.json" in line


def test_a_hub_data_set_without_a_network_is_named(refused):
    assert refused("data=gsm8k").startswith("data.source.path=openai/gsm8k: no file, and not to be")


def test_a_teacher_that_does_not_answer_is_named(refused, dead_port):
    url = f"http://127.0.0.1:{dead_port}/v1"
    line = refused("reflection=teacher", f"reflection.base_url={url}", "reflection.model=any")
    assert line.startswith(f"reflection.base_url={url}: no answer (")


@pytest.mark.parametrize("setting", ["hydra.run.dir", "-m hydra.sweep.dir"])
def test_a_folder_that_cannot_be_made_is_named(refused, tmp_path, setting):
    (tmp_path / "file").write_text("in the way")
    line = refused(*f"{setting}={tmp_path}/file/run".split())
    assert line.startswith(
        f"{setting.removeprefix('-m ')}={tmp_path}/file/run: cannot be written ("
    )


def test_a_sweep_is_refused_before_its_first_job(in_process, tmp_path):
    status, stderr = in_process("-m", *SMALL, "seed=0,1", "optimizer.lr=1e-3,fast")
    assert the_error(status, stderr) == "optimizer.lr=fast: give a number of at most 1"
    assert not (tmp_path / "runs").exists()


@pytest.mark.parametrize("program", ["p2o-train", "p2o-eval"])
def test_the_version_is_ours(monkeypatch, capsys, program):
    monkeypatch.setattr(sys, "argv", [program, "--version"])
    {"p2o-train": main, "p2o-eval": evaluate}[program]()
    assert capsys.readouterr().out == f"{program} {version('p2o-rl')}\n"


@pytest.mark.parametrize("program", [inspect, export])
def test_other_programs_tell_their_version_too(monkeypatch, capsys, program):
    monkeypatch.setattr(sys, "argv", ["p2o-data", "--version"])
    with pytest.raises(SystemExit) as stopped:
        program()
    assert stopped.value.code == 0
    assert capsys.readouterr().out.endswith(f" {version('p2o-rl')}\n")


def test_flags_are_left_to_hydra(monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["p2o-train", "--cfg", "job", "seed=3"])
    main()
    GlobalHydra.instance().clear()
    assert "\nseed: 3\n" in capsys.readouterr().out


@pytest.mark.slow
@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["data.source.trian=3"], "data.source.trian: no such key; did you mean data.source.train"),
        (["data=svamp", "data.source.path=rows.csv"], "data.source.question: no column 'Body'"),
        (
            ["model.path=nowhere/there", "evolution=none"],
            "model.path=nowhere/there: cannot be loaded (",
        ),
    ],
    ids=["key", "column", "model"],
)
def test_in_a_process_of_its_own_too_one_line_is_all(
    p2o_train_anew, tmp_path, monkeypatch, arguments, said
):
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    (tmp_path / "rows.csv").write_text("Question,Answer\nHow many?,3\n")
    result = p2o_train_anew(*arguments)
    assert the_error(result.returncode, result.stderr).startswith(said)
    assert result.stdout == ""


class Recited:
    """An engine that gives the same text for every prompt."""

    def __init__(self, token_ids: tuple[int, ...]) -> None:
        self.token_ids = token_ids
        self.prompts: list[tuple[int, ...]] = []

    def generate(self, prompts: Any, sampling: Any, seeds: Any) -> list[Completion]:
        self.prompts += map(tuple, prompts)
        return [Completion(self.token_ids, "stop", (0.0,) * len(self.token_ids)) for _ in prompts]

    def update_weights(self, policy: Any) -> None:
        """Nothing to take."""

    def frozen_copy(self) -> "Recited":
        return self

    def release(self) -> None:
        """Nothing to give back."""


@pytest.fixture
def prompts():
    return DigitLists(train=3, held_out=1, short_share=0.0).load(0).train


def recited(tokenizer: Any, text: str) -> Recited:
    return Recited((*tokenizer(text)["input_ids"], tokenizer.eos_token_id))


def test_a_template_over_the_budget_is_left_out_warned_of_once_and_counted(
    tokenizer, prompts, caplog
):
    renderer = ChatRenderer(tokenizer)
    engine = recited(tokenizer, "Answer: 1")
    bare = [tuple(renderer.render(prompt.messages)) for prompt in prompts]
    budget = max(map(len, bare)) + 10
    runner = RolloutRunner(engine, renderer, Numeric(), budget)
    long = "Add the digits " * 20
    with caplog.at_level(logging.WARNING, "p2o"):
        rollouts = runner.run([(p, long) for p in prompts], SamplingParameters(), 0)
        runner.run([(prompts[0], long), (prompts[0], "Add")], SamplingParameters(), 1)
    assert runner.overflows == 4
    assert [rollout.templated_ids for rollout in rollouts] == bare
    assert not any(rollout.templated for rollout in rollouts)
    assert engine.prompts[:3] == bare
    assert len(engine.prompts[4]) > len(bare[0])
    [warning] = caplog.messages
    assert f"prompt {prompts[0].id} " in warning
    assert f"max_prompt_tokens={budget}" in warning


def test_a_template_over_the_budget_scores_nothing_in_evolution_and_says_why(tokenizer, prompts):
    right = f"Answer: {prompts[0].gold}"
    engine, renderer = recited(tokenizer, right), ChatRenderer(tokenizer)
    runner = RolloutRunner(engine, renderer, Numeric(), 40)
    anything: Any = SimpleNamespace(policy=SimpleNamespace(model=None), bare=None)
    ledger = Ledger()
    data = RolloutDataModule(
        train=prompts,
        held_out=prompts,
        runner=runner,
        search_runner=runner,
        module=anything,
        builder=anything,
        ledger=ledger,
        sizes=BatchSizes(2, 2, 2),
        sampling=SamplingParameters(),
        evolution_sampling=SamplingParameters(temperature=0.0),
        held_out_sampling=SamplingParameters(),
        held_out_samples=1,
        seed=0,
    )
    sample = prompts[0].id
    bare, short, long = data.evaluate_templates(
        [(sample, ""), (sample, "Add"), (sample, "Add the digits " * 20)], seed=0
    )
    assert (bare.score, short.score, long.score) == (1.0, 1.0, 0.0)
    assert "too long for the prompt budget" in long.feedback
    assert runner.overflows == 1
    assert ledger.total("metric_calls") == 3


@pytest.mark.parametrize("text", ["", "Add the digits"])
def test_a_response_without_an_answer_scores_nothing_and_says_so(tokenizer, prompts, text):
    runner = RolloutRunner(recited(tokenizer, text), ChatRenderer(tokenizer), Numeric(), 96)
    for rollout in runner.run([(prompt, "") for prompt in prompts], SamplingParameters(), 0):
        assert rollout.score.status == Status.NO_ANSWER
        assert rollout.score.reward == 0.0
        assert rollout.score.answer is None


class Broken:
    """A verifier that cannot score anything. It stands in another one's place in the config."""

    def __init__(self, **options: Any) -> None:
        pass

    def score(self, responses: Any, prompts: Any) -> list[Score]:
        raise RuntimeError("out of order")


def test_a_verifier_that_never_works_stops_the_run_before_training(in_process, monkeypatch):
    monkeypatch.setattr("p2o.verifiers.Broken", Broken, raising=False)

    def fit(*arguments: Any, **keywords: Any) -> None:
        raise AssertionError("training began")

    monkeypatch.setattr(Trainer, "fit", fit)
    status, stderr = in_process(
        *SMALL, "data.source.held_out=24", "verifier={_target_: p2o.verifiers.Broken}"
    )
    assert status == 2
    [line] = [line for line in stderr.splitlines() if line.startswith("error: ")]
    assert line.startswith("error: Broken failed or timed out on 100.0%")
    assert "verifier_guard.max_error_share=0.02" in line
    assert "Traceback" not in stderr


FLAKY = """
from p2o.verifiers import Numeric


class Flaky(Numeric):
    calls = 0

    def score(self, responses, prompts):
        if len(responses) > 1:
            Flaky.calls += 1
        if {condition}:
            raise RuntimeError("out of order")
        return super().score(responses, prompts)
"""


@pytest.mark.slow
def test_a_verifier_that_throws_on_one_prompt_costs_that_prompt_only(
    p2o_train, tmp_path, monkeypatch
):
    culprit = DigitLists(train=16, held_out=8).load(0).train[5].id
    condition = f"any(prompt.id == '{culprit}' for prompt in prompts)"
    (tmp_path / "flaky.py").write_text(FLAKY.format(condition=condition))
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    result = p2o_train(
        *SMALL, "trainer.max_epochs=1", "verifier._target_=flaky.Flaky", "hydra.run.dir=run"
    )
    assert result.returncode == 0, result.stderr
    warnings = [
        line
        for line in result.stdout.splitlines()
        if line.startswith("the verifier gave no verdict (error)")
    ]
    assert len(warnings) == 6
    assert all(f"prompt {culprit}" in line and "out of order" in line for line in warnings)
    ledger = json.loads((tmp_path / "run" / "summary.json").read_text())["ledger"]
    assert ledger["train"]["rollouts"] == 16 * 6


@pytest.mark.slow
def test_a_verifier_that_stops_working_ends_the_run_and_leaves_a_checkpoint(
    p2o_train, tmp_path, monkeypatch
):
    """It scores the baseline, two batches of the first epoch, its evaluation, one batch more."""
    (tmp_path / "flaky.py").write_text(FLAKY.format(condition="Flaky.calls > 5"))
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    result = p2o_train(
        *SMALL, "trainer.max_epochs=3", "verifier._target_=flaky.Flaky", "hydra.run.dir=run"
    )
    assert result.returncode == 2, result.stderr
    [line] = [line for line in result.stderr.splitlines() if line.startswith("error: ")]
    assert "verifier_guard.max_error_share" in line
    assert "Traceback" not in result.stderr
    checkpoints = [
        torch.load(path, weights_only=True)
        for path in sorted((tmp_path / "run" / "checkpoints").glob("*.ckpt"))
    ]
    # The second epoch's first batch is in one of them, with what it was made of.
    done = [
        checkpoint["loops"]["fit_loop"]["epoch_loop.batch_progress"]["total"]["completed"]
        for checkpoint in checkpoints
    ]
    latest = checkpoints[done.index(max(done))]
    assert max(done) == 3
    assert latest["RolloutDataModule"]["ledger"]["train"]["rollouts"] >= 3 * 8 * 6


def test_lengths_that_the_policy_has_no_room_for_are_refused_at_the_start(in_process):
    status, stderr = in_process(*SMALL, "sampling.train.max_new_tokens=200")
    assert status == 2
    assert (
        "sampling.train.max_new_tokens=200 and data.max_prompt_tokens=96 are more than the 256"
        in stderr
    )
