"""Every file in conf/ composes and fits what it names; errors say what would do."""

import inspect
import shlex
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from hydra import compose, initialize_config_dir
from hydra.core.hydra_config import HydraConfig
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.utils import get_object
from hypothesis import given
from hypothesis import strategies as st
from omegaconf import DictConfig, OmegaConf, open_dict

from p2o.cli.settings import EvalSettings, TrainSettings
from p2o.configuration.build import CONFIG_NAME, build, conf_directory
from p2o.configuration.commandline import written
from p2o.configuration.overrides import check_overrides
from p2o.errors import UserError
from p2o.learning.module import P2OModule
from p2o.policy.models import load_policy
from p2o.rollout.rendering import ChatRenderer
from p2o.verifiers import GuardedVerifier, Numeric

FILES = sorted(path for path in conf_directory().rglob("*.yaml"))


def option(path: Path) -> tuple[str, str]:
    """Group and option of a file."""
    return path.parent.relative_to(conf_directory()).as_posix(), path.stem


ALL_OPTIONS = [option(path) for path in FILES if path.parent != conf_directory()]
# Groups of the primary configurations of other programs.
PROGRAMS = {"suite": "p2o-eval", "arm": "p2o-bench", "bench": "p2o-bench"}
OPTIONS = [(group, name) for group, name in ALL_OPTIONS if group not in PROGRAMS]
SUITES = [name for group, name in ALL_OPTIONS if group == "suite"]
GROUPS = sorted({group for group, _ in OPTIONS})
EXPANDED = {
    "model": load_policy,
    "renderer": ChatRenderer,
    "module": P2OModule,
    "verifier_guard": GuardedVerifier,
}
"""Nodes without a ``_target_`` whose values are keyword arguments, and of what."""


@pytest.fixture
def composed(tmp_path):
    """Compose with overrides and resolve all, as if Hydra had started a job in `tmp_path`."""

    def run(*overrides: str) -> dict[str, Any]:
        with initialize_config_dir(version_base="1.3", config_dir=str(conf_directory())):
            config = compose(
                CONFIG_NAME,
                overrides=[*overrides, f"hydra.runtime.output_dir={tmp_path}"],
                return_hydra_config=True,
            )
        HydraConfig.instance().set_config(config)
        with open_dict(config):
            del config["hydra"]
        resolved: Any = OmegaConf.to_container(config, resolve=True)
        return resolved

    yield run
    HydraConfig.instance().cfg = None


def targets(node: Any, path: str = "") -> Iterator[tuple[str, Mapping[str, Any]]]:
    """All nodes with a ``_target_``, with the key that leads there."""
    if isinstance(node, Mapping):
        if "_target_" in node:
            yield path, node
        for key, child in node.items():
            yield from targets(child, f"{path}.{key}".lstrip("."))


def unknown_arguments(callee: Any, keys: set[str]) -> set[str]:
    parameters = inspect.signature(callee).parameters.values()
    if any(p.kind == inspect.Parameter.VAR_KEYWORD for p in parameters):
        return set()
    named = (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)
    return keys - {p.name for p in parameters if p.kind in named}


def test_the_folders_of_conf_are_the_groups_of_the_primary_configuration():
    defaults: Any = OmegaConf.load(conf_directory() / "train.yaml")["defaults"]  # type: ignore[index]
    assert sorted(next(iter(entry)) for entry in defaults if entry != "_self_") == [
        group for group in GROUPS if "/" not in group
    ]


@pytest.mark.slow
@pytest.mark.parametrize(("group", "option"), OPTIONS, ids=lambda value: value)
def test_every_option_composes_and_each_key_is_an_argument_of_its_target(composed, group, option):
    config = composed(f"{group}={option}")
    found = dict(targets(config))
    assert {"trainer", "rollout", "verifier", "algorithm.loss", "data.source"} <= found.keys()
    for path, node in found.items():
        callee = get_object(node["_target_"])
        arguments = {key for key in node if not key.startswith("_")}
        assert not unknown_arguments(callee, arguments), path
    for name, callee in EXPANDED.items():
        assert not unknown_arguments(callee, set(config[name])), name


@pytest.mark.parametrize("suite", SUITES)
def test_every_suite_composes_and_each_key_is_an_argument_of_its_target(suite):
    with initialize_config_dir(version_base="1.3", config_dir=str(conf_directory())):
        config: Any = OmegaConf.to_container(compose("eval", overrides=[f"suite={suite}"]))
    assert config["benchmarks"]
    for name, benchmark in config["benchmarks"].items():
        assert set(benchmark) == {"table", "samples", "temperature"}, name
    for path, node in targets(config["benchmarks"]):
        arguments = {key for key in node if not key.startswith("_")}
        assert not unknown_arguments(get_object(node["_target_"]), arguments), path


@pytest.mark.slow
@pytest.mark.parametrize(
    ("group", "option"),
    # The sources of a mixture have sizes of their own.
    [
        (g, o)
        for g, o in OPTIONS
        if g in ("evolution", "reflection", "data", "optimizer") and o != "mixture"
    ],
    ids=lambda value: value,
)
def test_what_an_experiment_sets_does_not_get_in_the_way_of_another_option(composed, group, option):
    for path, node in targets(composed("experiment=smollm2_svamp", f"{group}={option}")):
        arguments = {key for key in node if not key.startswith("_")}
        assert not unknown_arguments(get_object(node["_target_"]), arguments), path


def test_an_argument_that_a_target_lacks_is_found():
    """The test above would see a wrong key."""
    assert unknown_arguments(load_policy, {"path", "pth"}) == {"pth"}


@pytest.mark.parametrize("file", FILES, ids=lambda path: f"{path.parent.name}/{path.stem}")
def test_every_file_opens_with_the_command_that_uses_it(file: Path):
    comments = []
    for line in file.read_text().splitlines():
        if not line.startswith("#"):
            break
        comments.append(line)
    defaults = ("experiment", "default"), ("bench", "default")
    default = file.parent == conf_directory() or (file.parent.name, file.stem) in defaults
    group, name = option(file)
    program = PROGRAMS.get(group, "p2o-train")
    if file.parent == conf_directory():
        program = f"p2o-{file.stem}"
    command = program if default else f"{program} {group}={name}"
    words = [line.lstrip("# ").partition(":")[0] for line in comments]
    assert any(line == command or line.startswith(f"{command} ") for line in words)


@pytest.mark.slow
def test_only_the_teacher_and_its_replay_leave_values_to_the_user(composed):
    def missing(node: Any) -> list[str]:
        return [key for key, value in node.items() if value == "???"]

    for option in sorted(option for group, option in OPTIONS if group == "reflection"):
        expected = {"teacher": ["base_url", "model"], "replay": ["run"]}.get(option, [])
        assert missing(composed(f"reflection={option}")["reflection"]) == expected, option


def test_the_configuration_directory_is_a_folder_with_the_primary_configuration():
    assert (conf_directory() / f"{CONFIG_NAME}.yaml").is_file()


def node(**content: Any) -> DictConfig:
    return OmegaConf.create(content)


def test_build_makes_the_object_and_passes_run_time_arguments():
    made = build(node(_target_="p2o.data.sources.DigitLists", train=3), "data.source", held_out=7)
    assert (made.train, made.held_out) == (3, 7)
    assert build(None, "scheduler") is None


def test_build_shows_the_error_of_the_part_itself():
    with pytest.raises(UserError, match=r"^algorithm\.loss\.clip_low=7: ") as caught:
        build(node(_target_="p2o.objectives.policy_loss.ClippedLoss", clip_low=7), "algorithm.loss")
    assert "\n" not in str(caught.value)


def test_build_puts_the_key_before_the_error_of_a_callback():
    with pytest.raises(UserError, match=r"^callbacks\.limit\.max_rollouts=0: "):
        build(node(_target_="p2o_callbacks.RolloutBudget", max_rollouts=0), "callbacks.limit")


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ({"_target_": "p2o.data.sources.DigitLists", "trian": 3}, "trian"),
        ({"_target_": "p2o.data.sources.NoSuch"}, "NoSuch"),
        ({"_target_": "no_such_module.Thing"}, "no_such_module"),
        ({"_target_": "p2o.data.sources.DigitLists", "train": "${nowhere}"}, "nowhere"),
    ],
)
def test_build_names_the_key_when_a_node_cannot_be_called(content, said):
    with pytest.raises(UserError, match=r"^data\.source|^train") as caught:
        build(node(**content), "data.source")
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)


def test_build_names_the_key_of_a_part_inside_another():
    part = {"verifier": {"_target_": "p2o.verifiers.Numeric", "pattern": "("}, "weight": 1.0}
    composite = node(_target_="p2o.verifiers.composite.Composite", parts={"one": part})
    with pytest.raises(UserError, match=r"^verifier\.parts\.one\.verifier\.pattern='\('"):
        build(composite, "verifier")


def test_build_names_the_key_when_a_class_that_is_not_ours_refuses():
    with pytest.raises(UserError, match=r"^callbacks\.best: cannot make lightning.*mode"):
        build(
            node(_target_="lightning.pytorch.callbacks.EarlyStopping", monitor="a", mode="b"),
            "callbacks.best",
        )


def test_build_gives_plain_lists_and_mappings_and_makes_what_is_inside():
    part = {"verifier": {"_target_": "p2o.verifiers.Numeric"}, "weight": 1.0}
    made = build(
        node(_target_="builtins.dict", _partial_=True, parts={"one": part}, list=[1, [2]]), "key"
    )()
    assert type(made["parts"]) is dict
    assert made["list"] == [1, [2]]
    assert type(made["list"][1]) is list
    assert isinstance(made["parts"]["one"]["verifier"], Numeric)


def test_build_names_a_mandatory_value_that_is_missing():
    with pytest.raises(UserError, match=r"^reflection\.model: "):
        build(
            node(reflection={"_target_": "p2o.reflection.TeacherReflection", "model": "???"})[
                "reflection"
            ],
            "reflection",
            base_url="http://localhost",
        )


@pytest.mark.slow
@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["seed=3"],
        ["experiment=grpo", "trainer.max_epochs=1"],
        ["hydra.run.dir=some/where"],
        ["+callbacks.budget._target_=p2o_callbacks.RolloutBudget"],
        ["+callbacks.budget={_target_: p2o_callbacks.RolloutBudget, max_rollouts: 9}"],
        ["~logger.csv"],
        ["scheduler=warmup_constant", "scheduler.warmup=0.1"],
        ["optimizer.betas=[0.9,0.95]"],
        ["++trainer.precision=32-true"],
        ["reflection=teacher"],
        ["-m", "seed=0,1", "distillation=no_crm,success_only"],
        ["--multirun", "optimizer.lr=choice(1e-3,1e-4)", "seed=range(3)"],
        ["-m", "optimizer.lr=choice(1e-5,1e-3)", "data=glob(d*)"],
        ["--cfg", "job", "seed=3"],
        ["seed=3", "--cfg=job", "--resolve"],
        ["--help"],
        ["--info", "defaults"],
        ["trainer.max_epochs=-1", "scheduler=constant"],
    ],
    ids=lambda arguments: " ".join(arguments) or "none",
)
def test_good_overrides_pass(arguments):
    assert check_overrides(arguments, CONFIG_NAME, TrainSettings) is None


@pytest.mark.slow
@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (
            ["trainer.max_epoch=3"],
            "trainer.max_epoch: no such key; did you mean trainer.max_epochs",
        ),
        (["data.source.trian=3"], "did you mean data.source.train"),
        (["group_size=4"], "did you mean data.group_size"),
        (["seed=1", "lr=0.1"], "did you mean optimizer.lr"),
        (["zzzzqqq=1"], "zzzzqqq: no such key; see p2o-train --cfg job"),
        (["distilation=no_crm"], "did you mean distillation"),
        (["~logger.nothing"], "logger.nothing: no such key"),
        (
            ["distillation=soft"],
            "distillation=soft: no such option; there are context_distillation",
        ),
        (["experiment=papr"], "experiment=papr: no such option; there are default, grpo, gsm8k"),
        (["train"], "'train' is no setting; write key=value"),
        (["seed", "3"], "'seed' is no setting"),
        (["=3"], "'=3' is no setting"),
        (["model=3"], "model=3: "),
        (["optimizer.betas=[0.9"], "cannot read 'optimizer.betas=[0.9'"),
        (["data.source.keep=[a.b=1]"], """quote what has a '=', 'data.source.keep=["a.b=1"]'"""),
        (["rollout=null"], "rollout=null: give one of hf, vllm"),
        (["model/adapter=null"], "model/adapter=null: give one of full, lora"),
        (["-m", "optimizer=adamw,null"], "optimizer=null: give one of adamw, "),
        (["algorithm=grpo,dapo"], "algorithm=grpo,dapo: these are several values; -m makes"),
        (["-m", "seed=1,2,1"], "seed=1,2,1: seed=1 stands there twice"),
        (["-m", "seed=1,2", "hydra.run.dir=x"], "hydra.run.dir=x: a sweep has its runs"),
        (["+trainer.limit_val_batches=0"], "trainer.limit_val_batches=0: "),
        (["hydra/sweeper=foo"], "hydra/sweeper=foo: no such option, or what it belongs to"),
        (
            ["renderer.options={enable_thinking: false}"],
            "renderer.options: has no enable_thinking so far; write +renderer.options.enable_thin",
        ),
        (["plan=maybe"], "plan=maybe: give true or false"),
        (["seed=0,1"], "seed=0,1: these are several values"),
        (["-m", "seed=0,1", "data.batch=16,0"], "data.batch=0: give a whole number of at least 1"),
        (["-m", "distillation=no_crm,hard"], "distillation=hard: no such option; there are cont"),
        (["data.bach=1", "--multirun"], "data.bach: no such key; did you mean data.batch"),
        (["-m", "optimizer.lr=interval(a,1)"], "optimizer.lr"),
        (["--cfg", "job", "data.bach=1"], "data.bach: no such key"),
        (["--config-dir", "nowhere", "seed=1"], "--config-dir=nowhere: no such folder"),
        (["+trainer.accumulate=2"], "trainer.accumulate: no such key"),
        (["+grup_size=2"], "grup_size: no such key"),
        (
            ["data=gsm8k", "data.source.max_rejected_share=0.1"],
            "data.source.max_rejected_share: not in the configuration so far; write +data.sou",
        ),
        (["trainer.max_steps=5"], "trainer.max_steps: not in the configuration so far; write +tr"),
        (
            ["data=file", "verifier.path=my.py:reward"],
            "verifier.path: verifier=numeric has no such key; it is one of verifier=function",
        ),
        (
            ["-m", "evolution=gepa,none", "evolution.evolver.budget=9"],
            "evolution=none has no such key; it is one of evolution=gepa, gepa_anew, gepa_hundred"
            ", gepa_paper and 3 more; start one sweep for the options of evolution that have it",
        ),
        (
            ["model.adapter.r=4"],
            "model/adapter=full has no such key; it is one of model/adapter=lora",
        ),
        (["+trainer.max_epochs=2"], "there is such a key already; write trainer.max_epochs=2"),
        (["~seed=5"], "~seed=5: the key has another value; write ~seed"),
        (
            ["--config-name", "foo"],
            "--config-name=foo: no such configuration; there are bench, eval, tr",
        ),
        (["experiment=paper/foo"], "experiment=paper/foo: no such option; there are default, grpo"),
        (["trainer.max_epochs=1", "-m", "seed=0,1"], "stands apart from other settings; put them"),
        (["-m", "seed=range(0)"], "seed=range(0): stands for no value"),
        (["-m", "algorithm=glob(zzz*)"], "algorithm=glob(zzz*): stands for no value"),
        (["-m", "seed=range(0,2)", "optimizer.lr=interval(0,1)"], "optimizer.lr=interval(0,1): an"),
        (["hydra.run.dir=${foo}"], "hydra.run.dir: Interpolation key 'foo' not found"),
        (["-m", "hydra.sweep.dir=${foo}"], "hydra.sweep.dir: Interpolation key 'foo' not found"),
        (
            ["-m", "hydra.sweep.subdir=${foo}"],
            "hydra.sweep.subdir: Interpolation key 'foo'",
        ),
        (["hydra.job.name=${foo}"], "hydra.job.name: Interpolation key 'foo' not found"),
        (
            ["hydra.job.env_copy=[no_such_a]"],
            "hydra.job.env_copy: there is no variable 'no_s",
        ),
        (["hydra.job_logging.root.level=foo"], "hydra.job_logging.root.level=foo: no such level"),
        (["--run", "--multirun"], "--run with --multirun: give one of them"),
        (["--experimental-rerun", "foo"], "--experimental-rerun=foo: no such pickled job"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_bad_overrides_are_explained_in_one_line(arguments, said):
    with pytest.raises(UserError) as caught:
        check_overrides(arguments, CONFIG_NAME, TrainSettings)
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("content", ["lr: [1", "lr: \0", "lr: 1\nlr: 2", "3"])
def test_a_broken_file_of_ones_own_is_named_in_one_line(tmp_path, content):
    (tmp_path / "optimizer").mkdir()
    (tmp_path / "optimizer" / "mine.yaml").write_text(content)
    line = ["--config-dir", str(tmp_path), "optimizer=mine"]
    for more in ([], ["-m", "seed=0,1"]):
        with pytest.raises(UserError, match=r"^--config-dir=.*: ") as caught:
            check_overrides([*line[:2], *more[:1], line[2], *more[1:]], CONFIG_NAME)
        assert "\n" not in str(caught.value)


@pytest.mark.parametrize("value", ["${oc.env:HOME}", "${foo}"])
def test_what_is_taken_from_a_wrong_value_is_not_blamed(value):
    with pytest.raises(UserError, match=r"^seed[:=]"):
        check_overrides([f"seed={value}"], CONFIG_NAME, TrainSettings)


def test_an_unknown_option_lists_all_options_of_its_group():
    with pytest.raises(UserError) as caught:
        check_overrides(["reflection=gpt"])
    for option in ("phrasebook", "policy", "self", "teacher"):
        assert option in str(caught.value)


def test_a_suggestion_is_not_given_twice():
    with pytest.raises(UserError) as caught:
        check_overrides(["logg=1"])
    hints = str(caught.value).partition("did you mean ")[2].rstrip("?").split(", ")
    assert "logger" in hints
    assert len(hints) == len(set(hints))


def test_a_folder_of_ones_own_is_looked_at_too(tmp_path):
    (tmp_path / "optimizer").mkdir()
    (tmp_path / "optimizer" / "mine.yaml").write_text(
        "_target_: torch.optim.SGD\n_partial_: true\nlr: fast\nmomentum: 0.9\n"
    )
    line = ["--config-dir", str(tmp_path), "optimizer=mine"]
    with pytest.raises(UserError, match=r"^optimizer\.lr=fast: give a number of at most 1$"):
        check_overrides(line, CONFIG_NAME, TrainSettings)
    check_overrides([*line, "optimizer.lr=0.1"], CONFIG_NAME, TrainSettings)
    with pytest.raises(UserError, match=r"^optimizer=mine: no such option"):
        check_overrides(line[2:], CONFIG_NAME, TrainSettings)


@pytest.mark.slow
@pytest.mark.parametrize("suite", sorted(p.stem for p in (conf_directory() / "suite").iterdir()))
def test_every_suite_passes_the_check_of_settings(suite):
    check_overrides([f"suite={suite}"], "eval", EvalSettings)


@pytest.fixture
def mine(tmp_path, monkeypatch):
    """Look at a part that a file of one's own names, beside a package with some content."""
    monkeypatch.setattr(sys, "path", [*sys.path])
    (tmp_path / "conf" / "optimizer").mkdir(parents=True)
    package = tmp_path / f"package_of_{tmp_path.name}"
    package.mkdir()

    def look(target: str, content: str = "") -> str:
        (package / "near.py").write_text(content)
        target = target.format(package=package.name)
        (tmp_path / "conf" / "optimizer" / "mine.yaml").write_text(f"_target_: {target}\n")
        line = ["--config-dir", str(tmp_path / "conf"), "optimizer=mine"]
        try:
            check_overrides(line, CONFIG_NAME, TrainSettings)
        except UserError as error:
            return str(error).replace(package.name, "package")
        return ""

    return look


def test_classes_beside_the_folder_of_ones_own_are_found(mine):
    assert mine("{package}.near.Near", "class Near:\n    pass\n") == ""


@pytest.mark.slow
@pytest.mark.parametrize(
    ("target", "content", "said"),
    [
        (
            "nowhere_at_all.Near",
            "",
            "(No module named 'nowhere_at_all'); start with PYTHONPATH=FOL",
        ),
        (
            "{package}.far.Near",
            "",
            "(No module named 'package.far'); package is in {folder}/package, where there is no "
            "such module",
        ),
        (
            "{package}.near.Near",
            "import not_installed",
            "(No module named 'not_installed'); install not_installed, which it imports",
        ),
        ("{package}.near.Near", "1 / 0", "(division by zero)"),
        ("{package}.near.Near", "", "(module 'package.near' has no attribute 'Near')"),
    ],
)
def test_why_a_class_of_ones_own_is_not_found_is_said_with_the_way_out(
    mine, tmp_path, target, content, said
):
    line = mine(target, content).replace(str(tmp_path), "{folder}")
    assert line.startswith("optimizer: cannot make ")
    assert said in line


@given(
    st.text(alphabet=st.characters(codec="ascii", exclude_categories=["Cc"]), max_size=20).filter(
        lambda text: "$" not in text
    )
)
def test_what_is_written_for_a_shell_is_read_as_it_was(text):
    value = f"x{text}"
    [word] = shlex.split(written("hydra.run.dir", value))
    [override] = OverridesParser.create().parse_overrides([word])
    assert override.value() == value
