"""Parts that need no policy are made once and thrown away, to hear what they refuse.

Their classes check more than type hints can say. A policy may take minutes to load.
"""

import copy
import inspect
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import torch
from lightning.pytorch import Callback
from lightning.pytorch.loggers import Logger
from omegaconf import DictConfig, OmegaConf, open_dict
from torch import Tensor, nn
from torch.optim.lr_scheduler import LRScheduler

from p2o.cli.settings import TrainSettings
from p2o.cli.streams import make_streams
from p2o.configuration.build import build, build_all, call
from p2o.configuration.sections import Makes, makes
from p2o.configuration.validation import refuse_missing
from p2o.distillation import DistillationStrategy
from p2o.distillation.strategy import refuse_unasked
from p2o.errors import UserError, located
from p2o.evolution.fixed import FixedHints
from p2o.evolution.in_training import SearchInTraining
from p2o.evolution.random_template import RandomTemplates
from p2o.evolution.shares import AdaptiveShare
from p2o.hints.least_reliance import LeastReliance
from p2o.learning.baseline import BareSuccessRate, asks_for_verdicts
from p2o.prompt import Context
from p2o.reflection import Phrasebook
from p2o.rollout.engine import check_training_sampling
from p2o.world.ancestry import is_of_the_world
from p2o_callbacks import PromptEvolution
from p2o_callbacks.errors import ConfigurationError

ALONE = (
    *("sampling.train", "sampling.evolution", "sampling.held_out"),
    *("algorithm.advantages", "algorithm.loss", "algorithm.kl", "algorithm.overlong"),
    *("distillation", "baseline", "allocation", "environment", "correction"),
    *("data.source", "data.contamination"),
)
"""Keys of parts that need nothing else."""


def rehearse(config: DictConfig) -> None:
    """Make parts of a run.

    Raises:
        UserError: One of them refuses what it is given.
    """
    made = {key: _make(config, key) for key in ALONE}
    make_streams(config)
    with located("sampling.train"):
        check_training_sampling(made["sampling.train"])
    check_there = getattr(made["data.source"], "check_there", None)
    if check_there is not None:
        with located("data.source"):
            check_there()
    # Made of the policy alone, so what it lacks has to be seen from outside.
    refuse_missing(config.rollout, "rollout")
    _rehearse_optimizer(config)
    _rehearse_advantages(made["algorithm.advantages"], config)
    _rehearse_adapter(config)
    _check_graded(made["distillation"], config)
    with located("allocation"):
        made["allocation"].sizes([None], config.data.group_size)
    callbacks = [_make(config, "mining")]
    if config.evolution is not None:
        callbacks.append(_rehearse_evolution(config, made["distillation"]))
    callbacks += build_all(config.callbacks, "callbacks", Callback)
    _check_hinted(made["distillation"], made["baseline"], callbacks, config)
    callbacks.append(_make(config, "checkpoint", dirpath=Path("checkpoints")))
    loggers = build_all(config.logger, "logger", Logger)
    trainer = _make(
        config,
        "trainer",
        callbacks=callbacks,
        logger=loggers,
        default_root_dir=Path(),
        plugins=[],
    )
    for each in callbacks:
        if isinstance(each, PromptEvolution):
            with located("evolution.callback", ConfigurationError, TypeError):
                each.find_miner(trainer)


def on_any_machine(config: DictConfig) -> DictConfig:
    """The same run with a trainer that can be made everywhere, for jobs that others will start."""
    config = copy.deepcopy(config)
    with open_dict(config):
        config.trainer.accelerator, config.trainer.precision = "cpu", None
        config.trainer.devices = config.trainer.num_nodes = 1
        config.trainer.strategy = "auto"
    return config


def _rehearse_evolution(config: DictConfig, strategy: DistillationStrategy) -> Callback:
    reflection, assigner = _make(config, "reflection"), _make(config, "assignment")
    offered = {"reflection": reflection, "assigner": assigner}
    evolver = _make(config, "evolution.evolver", offered=offered)
    if isinstance(assigner, LeastReliance):
        _check_reliance("assignment=least_reliance", strategy)
    if getattr(evolver, "most_reliance", None) is not None:
        _check_reliance("evolution.evolver.most_reliance", strategy)
    if strategy.rollout_context == Context.BARE and isinstance(evolver, SearchInTraining):
        raise UserError(
            "evolution=in_training: training tries templates, and this distillation rolls "
            "nothing out with one; take evolution=gepa, or distillation=tapered"
        )
    # Not every search asks for it.
    if getattr(evolver, "reflection", None) is reflection:
        check_phrasebook(reflection, str(config.model.path))
    _check_given(evolver, config)
    follows = isinstance(getattr(evolver, "share", None), AdaptiveShare)
    if follows and strategy.rollout_context == Context.BARE:
        raise UserError(
            "hints=adaptive_share: follows the success of rollouts with hints, and this "
            "distillation makes none; take another kind, or distillation=tapered"
        )
    return _make(config, "evolution.callback", evolver=evolver)


def _check_given(evolver: Any, config: DictConfig) -> None:
    """Refuse hints that come with p2o for another policy, and a best one of hints untried."""
    match evolver:
        case FixedHints():
            name, untried = "hints", evolver.dev_size == 0 and len(evolver.hints) > 1
        case RandomTemplates():
            name, untried = "path", True
        case _:
            return
    if evolver.embedded and not is_of_the_world(config.model.path):
        raise UserError(
            f"evolution.evolver.{name}: the phrases that come with p2o mean something in the "
            f"embedded world alone, not to model.path={config.model.path}; give phrases of yours"
        )
    if config.held_out_hint is not None and untried:
        raise UserError(
            f"held_out_hint={config.held_out_hint}: this search tries none of its hints, so that "
            "none is known to be the best; take another search, or hints=fixed with "
            "evolution.evolver.dev_size=24"
        )


def _check_graded(strategy: Any, config: DictConfig) -> None:
    """Refuse a strategy that grades responses where nothing would, and a teacher of no use."""
    with located("distillation"):
        refuse_unasked(strategy)
    bare = strategy.rollout_context == Context.BARE
    if strategy.told is not None and not bare:
        raise UserError(
            f"distillation._target_={config.distillation.get('_target_')}: tells something of "
            "responses, and samples them with a template; give rollout_context=bare or told=None"
        )
    if strategy.choices is not None:
        _check_choices(config)
    if bare and str(config.algorithm.advantages._target_).endswith("zero_variance_advantages"):
        raise UserError(
            "algorithm=rl_zvp: shapes by entropy what a group without contrast learns, and here "
            "something else grades each token; take algorithm=grpo, or distillation=tapered"
        )
    if not bare and config.teacher is not None:
        raise UserError(
            "teacher=moving_average: nothing is graded by a teacher where responses are sampled "
            "with the hint; take distillation=reverse_kl or sibling_context, or teacher=current"
        )
    if bare and strategy.told is None and config.evolution is None:
        raise UserError(
            "evolution=none: this distillation lets hints grade responses, and there are none; "
            "take distillation=sibling_context, or a search"
        )


def _check_hinted(
    strategy: DistillationStrategy,
    baseline: Any,
    callbacks: Sequence[Callback],
    config: DictConfig,
) -> None:
    """Refuse what is about responses that were sampled with a hint where there are none."""
    if strategy.rollout_context == Context.BARE:
        none = "this distillation samples all without; leave it out, or take distillation=tapered"
    elif config.evolution is None and not any(isinstance(c, PromptEvolution) for c in callbacks):
        none = "evolution=none gives none; leave it out, or take a search"
    else:
        return
    for key, asked in (
        ("drop_failed_templated=true", config.drop_failed_templated),
        ("baseline=bare_success_rate", isinstance(baseline, BareSuccessRate)),
    ):
        if asked:
            raise UserError(f"{key}: is about responses that are sampled with a hint, and {none}")


def _check_choices(config: DictConfig) -> None:
    """Refuse what is about one token at each place."""
    algorithm = config.algorithm
    for key, value, wanted in (
        ("loss.ratio", algorithm.loss.get("ratio"), "token"),
        ("loss.aggregation", algorithm.loss.get("aggregation"), "token-mean"),
        ("entropy_coefficient", algorithm.entropy_coefficient, 0),
        ("kl.coefficient", algorithm.kl.coefficient, 0),
    ):
        if value not in (None, wanted):
            raise UserError(
                f"algorithm.{key}={value}: is about one token at each place, and this distillation "
                f"learns several (distillation.choices); give {wanted}"
            )


def _make(config: DictConfig, key: str, **more: Any) -> Any:
    """Build a part, and look at what came of it: of a function nothing else tells.

    Raises:
        UserError: It cannot be built, or is another part than is needed there.
    """
    node = OmegaConf.select(config, key)
    part, wanted = build(node, key, **more), makes(TrainSettings, key)
    objection = None if wanted is None or part is None else wanted.objection_to(part)
    if objection is not None:
        name = OmegaConf.select(config, f"{key}._target_")
        raise UserError(f"{key}._target_={name}: makes what {objection}")
    return part


def _rehearse_advantages(advantages: Any, config: DictConfig) -> None:
    key, rewards = "algorithm.advantages", torch.tensor([[0.0, 1.0, 1.0]])
    name = config.algorithm.advantages.get("_target_")
    try:
        verdicts = {"solved": rewards} if asks_for_verdicts(advantages) else {}
    # What cannot be called says so below.
    except TypeError:
        verdicts = {}
    found = call(advantages, key, name, [rewards], **verdicts)
    if not isinstance(found, Tensor) or found.shape != rewards.shape:
        raise UserError(f"{key}._target_={name}: makes no advantages of rewards, one for each")


def _rehearse_adapter(config: DictConfig) -> None:
    """Whether it could be called with a model alone, which is still to be loaded."""
    node = config.model.get("adapter")
    adapter = build(node, "model.adapter")
    if adapter is not None:
        call(partial(_takes, adapter), "model.adapter", node.get("_target_"))


def _takes(function: Any) -> None:
    inspect.signature(function).bind(nn.Module())


def _check_reliance(key: str, strategy: DistillationStrategy) -> None:
    """Refuse what asks how much hints are relied on where nothing measures it."""
    hinted = strategy.rollout_context == Context.TEMPLATED
    if not (hinted and strategy.needs_log_probs and strategy.choices is None):
        raise UserError(
            f"{key}: this distillation does not score responses in both "
            "contexts, so that reliance is not known; take distillation=tapered"
        )


def check_phrasebook(reflection: Any, model: str) -> None:
    """Refuse the phrases of the embedded world for a policy that has never heard of them.

    Args:
        reflection: Of any kind, or none.
        model: The policy's ``model.path``.

    Raises:
        UserError: Tells what to take in their place.
    """
    embedded = isinstance(reflection, Phrasebook) and reflection.embedded
    if embedded and not is_of_the_world(model):
        raise UserError(
            f"model.path={model}: reflection=phrasebook has phrases of the embedded world alone; "
            "experiment=gsm8k and experiment=own_file have all settings that another model needs; "
            "or take reflection=self, reflection=teacher, or reflection.path=FILE with your phrases"
        )


def _rehearse_optimizer(config: DictConfig) -> None:
    """Optimisers refuse rates and the like when they are given parameters."""
    parameters: Any = [("matrix", torch.zeros(2, 2)), ("vector", torch.zeros(2))]
    named = [(name, nn.Parameter(value)) for name, value in parameters]
    make = build(config.optimizer, "optimizer")
    optimizer = call(make, "optimizer", config.optimizer.get("_target_"), [named])
    _check_kind(optimizer, torch.optim.Optimizer, "optimizer", config)
    make = build(config.scheduler, "scheduler")
    if make is not None:
        name = config.scheduler.get("_target_")
        schedule = call(make, "scheduler", name, [optimizer], num_training_steps=1000)
        _check_kind(schedule, LRScheduler, "scheduler", config)


def _check_kind(part: Any, kind: type, key: str, config: DictConfig) -> None:
    objection = Makes(kind).objection_to(part)
    if objection is not None:
        raise UserError(f"{key}._target_={config[key]._target_}: makes what {objection}")
