"""Every key with wrong values: one line that names it, before a model is loaded."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from omegaconf import DictConfig, OmegaConf

from p2o.cli.assembly import make_verifier
from p2o.cli.checks import check
from p2o.cli.rehearsal import rehearse
from p2o.cli.settings import EvalSettings, TrainSettings
from p2o.configuration.early import early_problems
from p2o.configuration.overrides import as_running, compose_config
from p2o.configuration.sections import Takes
from p2o.configuration.validation import refuse, section_problems
from p2o.errors import UserError
from p2o.running.console import quieten_libraries

pytestmark = pytest.mark.slow

PHRASES = Path(__file__).parents[1] / "docs" / "evidence" / "tutor_phrases.txt"

BASES = {
    "default": ["evolution=gepa"],
    "others": [
        *("data=svamp", "rollout=vllm", "algorithm=cispo", "distillation=reverse_kl"),
        *("evolution=random_template", f"evolution.evolver.path={PHRASES}"),
        *("reflection=self", "reference=initial", "model=qwen3_4b"),
        *("model/adapter=lora", "optimizer=muon", "scheduler=cosine", "logger=tensorboard"),
        *("selection=early_stopping", "verifier=boxed_math"),
    ],
}
NEW = {"default": "", "others": "data.source rollout algorithm.loss distillation evolution"}
NEW["others"] += " model reflection reference optimizer scheduler logger callbacks verifier"
"""Where the second configuration differs from the first; empty is everywhere."""

WRONG = {
    "text": "abc",
    "below zero": -1,
    "zero": 0,
    "null": None,
    "list": [1, "a"],
    "mapping": {"a": 1},
    "true": True,
    "too large": 10**30,
}

# What is right though it looks wrong.
BELOW_ZERO = {
    *("algorithm.entropy_coefficient", "evolution.callback.seed", "logger.csv.version"),
    *("trainer.max_epochs", "trainer.num_sanity_val_steps", "checkpoint.save_top_k"),
    *("callbacks.entropy_floor.minimum", "callbacks.kl_ceiling.maximum"),
    "logger.tensorboard.version",
}
NO_COUNTS = {
    *("seed", "evolution.callback.seed", "trainer.max_epochs", "checkpoint.save_top_k"),
    *("data.source.split_seed", "callbacks.early_stopping.patience"),
    "evolution.evolver.evidence",
}
CAN_BE_LEFT_OUT = {
    *("evolution", "algorithm.loss.dual_clip", "algorithm.loss.constant_length"),
    *("distillation.ratio_weight", "evolution.callback.directory"),
    *("trainer.gradient_clip_val", "trainer.enable_model_summary", "logger.csv.name"),
    *("logger.csv.version", "callbacks.recent.train_time_interval", "save_policy"),
    *("checkpoint.filename", "checkpoint.save_last", "checkpoint.save_on_train_epoch_end"),
    *(
        "renderer.options",
        "renderer.suffix",
        "rollout.options",
        "data.source.file",
        "optimizer.adjust_lr_fn",
    ),
    *("logger.tensorboard.name", "logger.tensorboard.version", "model.adapter", "reference"),
    *("callbacks.best.monitor", "scheduler", "trainer.num_sanity_val_steps", "data.source.train"),
}


def keys(node: DictConfig, prefix: str = "") -> Iterator[str]:
    """All keys, those of parts as well; names of targets have tests of their own."""
    for name in map(str, node):
        path = f"{prefix}{name}"
        if name == "_target_":
            continue
        yield path
        if not OmegaConf.is_missing(node, name) and not OmegaConf.is_interpolation(node, name):
            child = node[name]
            if isinstance(child, DictConfig):
                yield from keys(child, f"{path}.")


def refusal(config: DictConfig, key: str, value: Any) -> str | None:
    """The line that refuses a value; None when it is taken."""
    changed = config.copy()
    OmegaConf.set_struct(changed, False)
    OmegaConf.update(changed, key, value, merge=False)
    try:
        check(changed)
        rehearse(changed)
        make_verifier(changed)
    except UserError as error:
        return str(error)
    return None


@pytest.mark.slow
@pytest.mark.parametrize("kind", WRONG)
@pytest.mark.parametrize("base", BASES)
def test_a_wrong_value_is_refused_in_one_line_that_names_its_key(base, kind):
    quieten_libraries()
    value, taken = WRONG[kind], {}
    places = tuple(NEW[base].split())
    with as_running(compose_config(BASES[base], "train")) as config:
        assert refusal(config, "seed", 1) is None
        tried = [key for key in keys(config) if not places or key.startswith(places)]
        for key in tried:
            line = refusal(config, key, value)
            if line is None:
                taken[key] = OmegaConf.select(config, key, throw_on_missing=False)
                continue
            assert "\n" not in line, key
            # Classes that are not p2o's do not say which of their arguments they mean.
            section = key.rpartition(".")[0] or key
            assert line.startswith((key, section)), line
    assert len(tried) > 60
    unexpected = {key for key, default in taken.items() if not expected(kind, key, default)}
    assert not unexpected


def expected(kind: str, key: str, default: Any) -> bool:
    """Whether a value of this kind is none that is wrong."""
    match kind:
        case "text":
            return isinstance(default, str | None)
        case "below zero":
            return key in BELOW_ZERO
        case "zero":
            return key in NO_COUNTS or not isinstance(default, int) or default in (0, False)
        case "null":
            part = key.startswith(("callbacks.", "logger.")) and key.count(".") == 1
            free = key.endswith((".dirpath", ".filename"))
            return default is None or part or free or key in CAN_BE_LEFT_OUT
        case "mapping":
            return key in ("renderer.options", "rollout.options")
        case "true":
            return isinstance(default, bool) or key == "checkpoint.save_last"
    return False


@pytest.mark.parametrize("kind", WRONG)
@pytest.mark.parametrize("base", BASES)
def test_what_is_refused_before_torch_is_imported_is_refused_later_in_the_same_words(base, kind):
    with as_running(compose_config(BASES[base], "train")) as config:
        assert list(early_problems(config, TrainSettings)) == []
        OmegaConf.set_struct(config, False)
        for key in list(keys(config)):
            parent, _, name = key.rpartition(".")
            node = OmegaConf.select(config, parent) if parent else config
            # What is taken from a wrong value stays so.
            if OmegaConf.is_interpolation(node, name):
                continue
            if OmegaConf.is_missing(node, name) or not OmegaConf.is_dict(node[name]):
                node[name] = WRONG[kind]
        early = list(early_problems(config, TrainSettings))
        late = list(section_problems(config, Takes(TrainSettings)))
    assert {"sampling.train.top_p", "data.group_size"} <= {problem.key for problem in early}
    assert set(early) <= set(late)


@pytest.mark.parametrize(
    ("key", "value", "line"),
    [
        ("model.path", 5, "model.path=5: give a text"),
        ("callbacks", None, "callbacks=null: give a mapping, {name: value}"),
        ("sampling", None, "sampling=null: give a mapping, {name: value}"),
        ("mining", None, "mining=null: give a part, which is a mapping with _target_"),
        ("sampling.train.temperature", -1, "sampling.train.temperature=-1: give a number of at l"),
        ("sampling.train.top_p", 2, "sampling.train.top_p=2: give a number above 0 and of at mos"),
        # Other keys are interpolations of this one.
        ("sampling.train.max_new_tokens", 0, "sampling.train.max_new_tokens=0: give a whole num"),
        ("rollout.max_batch_size", 0, "rollout.max_batch_size=0: give a whole number of at least"),
        ("ckpt_path", ["a"], 'ckpt_path=["a"]: give a text, or null'),
        ("plan", "maybe", "plan=maybe: give true or false"),
        ("trainer.accumulate_grad_batches", 0, "trainer.accumulate_grad_batches=0: give a whole"),
        ("module.pass_tokens", -1, "module.pass_tokens=-1: give a whole number of at"),
        ("drop_failed_templated", "abc", "drop_failed_templated=abc: give true or false"),
        ("data.max_unusable_golds", -1, "data.max_unusable_golds=-1: give a number from 0 to 1"),
        ("evolution.callback.seed", {"a": 1}, 'evolution.callback.seed={"a":1}: give a whole'),
        ("checkpoint.filename", "../../../x", "checkpoint.filename=../../../x: give a text wit"),
        ("callbacks.recent.filename", "a/b", "callbacks.recent.filename=a/b: give a text without"),
        ("checkpoint.filename", "..", "checkpoint.filename=..: give a text without a folder"),
        ("checkpoint.filename", "{foo}", "checkpoint.filename={foo}: give a text without a folder"),
        ("checkpoint.filename", "x{epoch.__class__}", "checkpoint.filename=x{epoch.__class__}: gi"),
        ("checkpoint.filename", "{0}", "checkpoint.filename={0}: give a text without a folder"),
        ("checkpoint.filename", "{step:zz}", "checkpoint.filename={step:zz}: give a text without"),
        ("checkpoint.dirpath", "a", "checkpoint.dirpath: is not to be chosen here; leave it out"),
        ("trainer.logger", False, "trainer.logger: is not to be chosen here; leave it out"),
        ("trainer.default_root_dir", "a", "trainer.default_root_dir: is not to be chosen here"),
        ("logger.csv.name", "../../esc", "logger.csv.name=../../esc: leads out of the run's"),
        ("logger.csv.version", "../..", "logger.csv.version=../..: leads out of the run's folder"),
        ("sampling.train.temperature", 0, "sampling.train.temperature=0: responses to one prompt"),
        ("sampling.train.temperature", 1e-300, "sampling.train.temperature=1e-300: responses to"),
        ("sampling.train.top_p", 0.9, "sampling.train.top_p=0.9: training takes the probabil"),
        ("sampling.train.top_k", 5, "sampling.train.top_k=5: training takes the probabilities of"),
        ("renderer.date", "yesterday", "renderer.date=yesterday: give a text with a date such as"),
        ("module.compile_backend", "foo", "module.compile_backend=foo: give a text with a backen"),
        ("model.dtype", "foo", "model.dtype=foo: give a text such as float32 or bfloat16"),
        ("model.dtype", "int8", "model.dtype=int8: give a text such as float32 or bfloat16"),
        ("model.dtype", "float8_e5m2", "model.dtype=float8_e5m2: give a text such as float32"),
        ("model.attention", "foo", "model.attention=foo: give a text such as sdpa, eager"),
        ("data.group_size", 10**11, "data.group_size=100000000000: give a whole number of at lea"),
        ("data.source.train", 10**11, "data.source.train=100000000000: give a whole number below"),
        ("data.held_out_samples", 3, "data.held_out_samples=3: at temperature 0 all are the same"),
        ("verifier_guard.solved_reward", 2, "verifier_guard.solved_reward=2: Numeric gives 1.0 a"),
        ("sampling.train.temperature", 1e6, "sampling.train.temperature=1000000.0: give a number"),
        ("verifier.relative_tolerance", 5, "verifier.relative_tolerance=5: give a number below 1"),
        (
            "environment._target_",
            "builtins.object",
            "environment._target_=builtins.object: is no E",
        ),
        ("rollout._target_", "builtins.dict", "rollout._target_=builtins.dict: is no RolloutEngi"),
        ("baseline._target_", "builtins.dict", "baseline._target_=builtins.dict: is no Baseline; "),
        ("assignment._target_", "builtins.dict", "assignment._target_=builtins.dict: is no Assign"),
        ("reflection._target_", "builtins.dict", "reflection._target_=builtins.dict: is no Reflec"),
        ("evolution.evolver._target_", "p2o.verifiers.Numeric", "evolution.evolver._target_=p2o.v"),
        (
            "algorithm.loss._target_",
            "builtins.dict",
            "algorithm.loss._target_=builtins.dict: is no P",
        ),
        (
            "mining._target_",
            "builtins.dict",
            "mining._target_=builtins.dict: is no Callback; name a",
        ),
        (
            "trainer._target_",
            "builtins.dict",
            "trainer._target_=builtins.dict: is no Trainer; name",
        ),
        (
            "sampling.train._target_",
            "builtins.dict",
            "sampling.train._target_=builtins.dict: is no ",
        ),
        (
            "environment._target_",
            "os.getcwd",
            "environment._target_=os.getcwd: makes what is no Env",
        ),
        (
            "correction",
            {"_target_": "os.getcwd"},
            "correction._target_=os.getcwd: makes what is no E",
        ),
        (
            "reference",
            {"_target_": "builtins.dict"},
            "reference._target_=builtins.dict: is no Module",
        ),
        ("scheduler", {"_target_": "os.getcwd"}, "scheduler: cannot make os.getcwd ("),
        ("baseline._partial_", True, "baseline._partial_=true: a part is needed here, not what "),
        (
            "algorithm.advantages._target_",
            "builtins.dict",
            "algorithm.advantages: cannot make built",
        ),
        (
            "model.adapter",
            {"_target_": "os.getcwd", "_partial_": True},
            "model.adapter: cannot make",
        ),
        ("model.path", "", "model.path=: give a text that is not empty"),
        ("ckpt_path", " ", "ckpt_path= : give the path of a checkpoint"),
        ("optimizer.lr", 100, "optimizer.lr=100: give a number of at most 1"),
        (
            "evolution.callback.name",
            "../x",
            "evolution.callback.name=../x: give a word, without a f",
        ),
        (
            "trainer.reload_dataloaders_every_n_epochs",
            1,
            "trainer.reload_dataloaders_every_n_epochs",
        ),
        ("callbacks.entropy_floor.metric", "train/foo", "callbacks.entropy_floor.metric=train/foo"),
        ("verifier.pattern", "(", "verifier.pattern='(': missing )"),
        ("callbacks.foo", {"_target_": "os.getcwd"}, "callbacks.foo: os.getcwd makes no Callback"),
        ("optimizer.lr", -1, "optimizer: cannot make torch.optim.AdamW (Invalid learning rate: -1"),
        ("optimizer.lr", float("nan"), "optimizer.lr=NaN: give a number"),
        ("optimizer.lr", 1e300, "optimizer.lr=1e+300: give numbers below 3.4"),
        ("optimizer.betas", [0.9, -1e300], "optimizer.betas=[0.9,-1e+300]: give numbers below 3.4"),
        ("callbacks.best.monitor", "val/acuracy", "callbacks.best.monitor=val/acuracy: nothing me"),
        ("checkpoint.monitor", "accuracy", "checkpoint.monitor=accuracy: nothing measures that; e"),
        ("checkpoint.monitor", "val/pass_at_2", "checkpoint.monitor=val/pass_at_2: nothing measu"),
        ("callbacks.accuracy_floor.metric", "val/acc", "callbacks.accuracy_floor.metric=val/acc: "),
        ("optimizer.betas", [0.9], "optimizer.betas=[0.9]: give a list of a number and a number"),
        ("optimizer._partial_", "yes", "optimizer._partial_=yes: give true or false"),
        ("optimizer._target_", "torch.optim.Adma", "optimizer: cannot make torch.optim.Adma ("),
        ("optimizer._target_", "torch.optim", "optimizer._target_=torch.optim: is no class or f"),
        ("optimizer._target_", 3, "optimizer._target_=3: give the full name of a class"),
        ("evolution.evolver.width", 0, "evolution.evolver.width=0: give at least 1"),
        ("callbacks.accuracy_floor.share", 2, "callbacks.accuracy_floor.share=2: give a share of"),
        ("renderer.sufix", "a", "renderer.sufix: no such key; did you mean suffix"),
        ("renderer.tokenizer", "a", "renderer.tokenizer: no such key"),
        ("trainer.max_epoch", 1, "trainer.max_epoch: no such key; did you mean max_epochs"),
        ("data.bach", 1, "data.bach: no such key; did you mean batch"),
        ("traner", {"max_epochs": 3}, "traner: no such key; did you mean trainer"),
        ("planning.device", "abacus", "planning.device=abacus: there are "),
        ("optimizer.weight_decay", 100, "optimizer.weight_decay=100: give a number from 0 to 10"),
        ("optimizer.eps", 100, "optimizer.eps=100: give a number of at least 0 and below 1"),
        ("optimizer.maximize", True, "optimizer.maximize=true: give false"),
        ("optimizer.differentiable", True, "optimizer.differentiable=true: give false"),
        ("algorithm.entropy_coefficient", 1e9, "algorithm.entropy_coefficient=1000000000.0: give"),
        ("algorithm.kl.coefficient", 1e9, "algorithm.kl.coefficient=1000000000.0: give a number f"),
        (
            "algorithm.advantages.epsilon",
            -1,
            "algorithm.advantages.epsilon=-1: give a number of at",
        ),
        ("trainer.fast_dev_run", True, "trainer.fast_dev_run=true: give false"),
        ("trainer.fast_dev_run", 3, "trainer.fast_dev_run=3: give false"),
        ("trainer.inference_mode", True, "trainer.inference_mode=true: give false"),
        ("trainer.strategy", "ddp_spawn", "trainer.strategy=ddp_spawn: give auto, ddp or ddp_find"),
        ("trainer.strategy", "fsdp", "trainer.strategy=fsdp: give auto, ddp or ddp_find_unused_pa"),
        ("trainer.precision", "16-true", "trainer.precision=16-true: give 64, 32, 16, 64-true, 32"),
        ("model.dtype", "float16", "model.dtype=float16: what is trained needs a wider range of"),
        ("evolution.callback.miner", "x", "evolution.callback.miner=x: there are miners with the"),
        ("reflection.phrases", [""], 'reflection.phrases=[""]: give a list'),
        ("trainer.barebones", True, "trainer.barebones=true: give false"),
        ("trainer.num_nodes", 2, "+trainer.num_nodes=2: nothing has started this run on the other"),
        ("callbacks.best.filename", "last", "callbacks.best.filename=last: the link to the newest"),
        ("callbacks.best.filename", "recent", "callbacks.recent.filename=recent: callbacks.best "),
        ("callbacks.best.filename", "epoch_0003", "callbacks.best.filename=epoch_0003: checkpoint"),
        (
            "callbacks.recent.filename",
            "epoch_{step}",
            "callbacks.recent.filename=epoch_{step}: che",
        ),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_the_line_says_what_would_do(key, value, line):
    with as_running(compose_config([], "train")) as config:
        said = refusal(config, key, value)
    assert said is not None
    assert said.startswith(line)
    assert len(said) < 250


@pytest.mark.parametrize(
    ("settings", "line"),
    [
        ("rollout=vllm_server rollout.urls=[]", "rollout.urls=[]: give a list of addresses such"),
        ("rollout=vllm_server rollout.urls=[foo]", 'rollout.urls=["foo"]: give a list of addre'),
        ("reflection=teacher reflection.model=a reflection.base_url=foo", "reflection.base_url=fo"),
        (
            "reflection=teacher reflection.model=a reflection.base_url=http://h:99999",
            "reflection.base_url=http://h:99999: give a text such as http://host:8000",
        ),
        ("data=svamp data.source.path=no.jsonl", "data.source.path=no.jsonl: no such file (look"),
        ("data=svamp data_root=nowhere", "data.source.root=nowhere: no such folder (looked from"),
        ("model/adapter=lora model.adapter.target_modules='('", "model.adapter.target_modules=(:"),
        ("optimizer=sgd optimizer.momentum=2", "optimizer.momentum=2: give a number of at least 0"),
        ("optimizer=muon optimizer.momentum=1", "optimizer.momentum=1: give a number of at least"),
        ("model/adapter=lora model.adapter.r=1000000000", "model.adapter.r=1000000000: give a who"),
        (
            "optimizer=sgd +optimizer.dampening=7",
            "optimizer.dampening=7: give a number from 0 to 1",
        ),
        (
            "algorithm=rl_zvp algorithm.advantages.alpha=-5",
            "algorithm.advantages.alpha=-5: give a n",
        ),
        (
            "distillation=reverse_kl distillation.coefficient=1e9",
            "distillation.coefficient=10000000",
        ),
        (
            "trainer=fsdp2 trainer.strategy.compute_dtype=int8",
            "trainer.strategy.compute_dtype=int8:",
        ),
        ("rollout=vllm rollout.dtype=int8", "rollout.dtype=int8: give a text such as float32 or b"),
        (
            "evolution=none held_out_hint=best",
            "held_out_hint=best: nothing looks for hints; choose",
        ),
        (
            "selection=early_stopping callbacks.early_stopping.patience=-3",
            "callbacks.early_stopping.patience=-3: give a whole number of at least 0",
        ),
        (
            "evolution.callback.every_n_epochs=3 evolution.callback.every_n_steps=5",
            "evolution.callback.every_n_epochs=3: every_n_steps=5 stands in place of epochs; give",
        ),
        (
            "logger=mlflow logger.mlflow.tracking_uri=foo://x",
            "logger.mlflow: cannot make lightning.pytorch.loggers.MLFlowLogger (",
        ),
        ("verifier=math verifier.workers=100000", "verifier.workers=100000: give a whole number"),
        (
            "evolution=random_template evolution.evolver.number=9000000000",
            "evolution.evolver.numbe",
        ),
    ],
    ids=lambda value: value.split()[-1],
)
def test_what_parts_of_other_options_are_given_is_found_without_a_policy(settings, line):
    with as_running(compose_config(settings.split(), "train")) as config:
        said = refusal(config, "seed", 1)
    assert said is not None
    assert said.startswith(line)


@pytest.mark.parametrize(
    ("name", "known"),
    [("val/pass_at_4", True), ("val/pass_at_3", False), ("val/some/accuracy", True)],
)
def test_what_an_evaluation_logs_can_be_watched(name, known):
    settings = ["data.held_out_samples=4", "sampling.held_out.temperature=1"]
    with as_running(compose_config([*settings, f"checkpoint.monitor={name}"], "train")) as config:
        if known:
            check(config)
        else:
            with pytest.raises(UserError, match=r"evaluations log .*val/pass_at_2, val/pass_at_4$"):
                check(config)


@pytest.mark.parametrize(
    "settings", [["~verifier"], ["~data.batch"], ["~sampling.train"], ["~mining"]]
)
def test_a_key_that_is_taken_away_is_missed(settings):
    [setting] = settings
    with as_running(compose_config(settings, "train")) as config, pytest.raises(UserError) as said:
        check(config)
    assert str(said.value).startswith(f"{setting[1:]}: it is missing; give ")


@pytest.mark.parametrize(
    ("setting", "line"),
    [
        ("chunk=0", "chunk=0: give a whole number of at least 1"),
        ("limit=-1", "limit=-1: give a whole number of at least 1, or null"),
        ("template_mode=worst", "template_mode=worst: give best, majority or assigned"),
        ("benchmarks.digits.samples=0", "benchmarks.digits.samples=0: give a whole number of at"),
        ("benchmarks.digits=3", "benchmarks.digits=3: give a mapping"),
        ("run=[a]", 'run=["a"]: give a text, or null'),
    ],
)
def test_an_evaluation_is_checked_likewise(setting, line):
    config = compose_config(["suite=digits", setting], "eval")
    with as_running(config) as own, pytest.raises(UserError) as said:
        refuse(section_problems(own, Takes(EvalSettings)))
    assert str(said.value).startswith(line)
