"""From a configuration of ``p2o-train`` to an estimate."""

from typing import Any, Literal

import torch
from omegaconf import DictConfig

from p2o.configuration.build import build
from p2o.errors import located
from p2o.evolution.budget import resolve_budget
from p2o.learning.sizes import BatchSizes
from p2o.planning.devices import Device, find_device
from p2o.planning.plan import Plan, estimate
from p2o.planning.read_training import read_dtype, read_training
from p2o.planning.searches import count_searches
from p2o.planning.settings_reader import Reader
from p2o.planning.setup import Batch, Draws, Efficiency, Engine, Schedule, Setup
from p2o.planning.shape import ModelShape, meta_model, read_architecture, shape_of

HOST_SECONDS, HOST_SECONDS_PER_LAYER = 2e-3, 5e-4
"""That Python takes for a token step of transformers' generation; assumed."""
UNKNOWN_PROMPTS = 1000
"""Prompts of an epoch where the configuration takes all that there are."""
VLLM_ROWS = 256
"""Sequences at once, of a vLLM that is not told otherwise; assumed."""
SERVER_SHARE = 0.9
"""Of its devices' memory, for a vLLM server's weights and cache; assumed."""


def plan_from_config(config: DictConfig) -> Plan:
    """Estimate the run that a composed configuration describes.

    What a configuration cannot know is taken from its ``planning`` node, or assumed and said so:
    ``device`` is one of `p2o.planning.devices.DEVICES`; ``prompts``, ``mean_prompt_tokens``,
    ``mean_new_tokens``, ``trained_share``, ``templated_share``, ``flops_efficiency``,
    ``bandwidth_efficiency`` and ``devices_per_server`` are numbers.

    Raises:
        UserError: The model's architecture or a file with prompts cannot be read, or a value cannot
            work.
    """
    reader = Reader(config)
    device, dtype = _device(reader), read_dtype(reader)
    trusted = bool(reader.get("model.options.trust_remote_code"))
    with located("model"):
        model = meta_model(
            read_architecture(str(reader.get("model.path")), trusted), dtype, trusted
        )
    shape = shape_of(model)
    if getattr(model.config.get_text_config(), "num_experts", None):
        reader.assume("every expert of the mixture sees every token")
    training = read_training(reader, model, shape, dtype, device)
    batch = _batch(reader)
    efficiency = Efficiency()
    efficiency = Efficiency(
        reader.planning("flops_efficiency", 0.001, 1) or efficiency.flops,
        reader.planning("bandwidth_efficiency", 0.001, 1) or efficiency.bandwidth,
    )
    reader.assume(
        f"{efficiency.flops:.0%} of peak arithmetic and {efficiency.bandwidth:.0%} of peak "
        "bandwidth are reached"
    )
    setup = Setup(
        shape,
        training,
        batch,
        _engine(reader, shape, dtype, training.ranks),
        _schedule(reader, batch),
        device,
        efficiency,
    )
    return estimate(setup, tuple(reader.assumptions))


def _device(reader: Reader) -> Device:
    name = reader.get("planning.device")
    if name is None:
        name = "laptop" if reader.get("trainer.accelerator") == "cpu" else "h100"
        reader.assume(f"planning.device={name}")
    return find_device(str(name))


def _batch(reader: Reader) -> Batch:
    sizes = BatchSizes(
        int(reader.get("data.group_size")),
        int(reader.get("data.batch")),
        int(reader.get("data.mini_batch")),
        int(reader.get("trainer.accumulate_grad_batches", 1)),
        int(reader.get("algorithm.sampling_rounds", 1)),
    )
    if sizes.sampling_rounds > 1:
        reader.assume("dynamic sampling leaves every batch full")
    prompt = int(reader.get("data.max_prompt_tokens"))
    new = int(reader.get("sampling.train.max_new_tokens"))
    most = {"trained": 1.0, "templated": _most_templated(reader, sizes.group_size)}
    shares = {name: _share(reader, name, most[name]) for name in most}
    batch = Batch(
        sizes,
        prompt,
        new,
        _mean(reader, "mean_prompt_tokens", prompt),
        _mean(reader, "mean_new_tokens", new),
        int(reader.get("module.chunk_tokens", 4096)),
        int(reader.get("module.pass_tokens", 8192)),
        shares["trained"],
    )
    passes = _scoring_passes(reader, batch.steps, shares["templated"])
    return Batch(**{**vars(batch), "scoring_passes": passes})


def _most_templated(reader: Reader, group_size: int) -> float:
    """The share of rollouts that can have a template: none of those that stay bare."""
    if reader.get("evolution") is None:
        return 0.0
    return max(0, group_size - int(reader.get("evolution.callback.bare_rollouts", 0))) / group_size


def _share(reader: Reader, name: str, most: float) -> float:
    """A share of the rollouts: what is said of it, as far as it can be, or else all that can be."""
    given = reader.planning(f"{name}_share", 0, 1)
    if given is not None and (given <= most or not most):
        return given
    if most == 1:
        reader.assume(f"planning.{name}_share=1: every rollout is {name}")
    elif most:
        reader.assume(f"planning.{name}_share={most:.3g}: every rollout is {name} that can be")
    return most


def _mean(reader: Reader, key: str, longest: int) -> float:
    given = reader.planning(key, 1, longest)
    if given is None:
        reader.assume(f"planning.{key}={longest}: all are as long as the longest")
    return float(longest) if given is None else given


def _scoring_passes(reader: Reader, steps: int, templated: float) -> float:
    """Forward passes without gradient of a trained row; `ExperienceBuilder` decides likewise.

    Old log-probabilities of the first of a batch's steps are those of the training pass itself.
    """
    strategy = build(reader.get("distillation"), "distillation")
    later = 1 - 1 / steps
    if strategy is None:
        of_templated = later
    elif strategy.needs_log_probs:
        of_templated = 2.0
    elif strategy.old_context is None:
        of_templated = 0.0
    else:
        of_templated = later if strategy.old_context == strategy.gradient_context else 1.0
    # What is told makes of a bare row one that is scored in both contexts.
    of_bare = later if strategy is None or strategy.told is None else of_templated
    passes = (1 - templated) * of_bare + templated * of_templated
    if reader.get("reference") is None:
        return passes
    in_reward = reader.get("algorithm.kl.coefficient", 0) and (
        reader.get("algorithm.kl.place") == "reward"
    )
    return passes + (3 if in_reward else 1)


def _engine(reader: Reader, shape: ModelShape, dtype: torch.dtype, ranks: int) -> Engine:
    target = str(reader.get("rollout._target_", ""))
    own = reader.get("rollout.dtype")
    compute = str(own or dtype).removeprefix("torch.")
    number = float(getattr(torch, compute).itemsize)
    if target.endswith("HFEngine"):
        seconds = HOST_SECONDS + HOST_SECONDS_PER_LAYER * shape.layers
        return Engine(
            "hf",
            compute,
            number,
            max_rows=int(reader.get("rollout.max_batch_size", 256)),
            step_seconds=seconds,
        )
    rows = int(reader.get("rollout.options.max_num_seqs", VLLM_ROWS))
    kind: Literal["vllm", "vllm_server"] = "vllm_server" if "server" in target else "vllm"
    if "vllm" not in target:
        reader.assume(f"{target or 'the engine'} needs what vLLM in the trainer's process does")
    if kind == "vllm":
        return Engine(
            kind,
            compute,
            number,
            max_rows=rows,
            memory_share=float(reader.get("rollout.memory_share", 0.4)),
            sleeps=bool(reader.get("rollout.sleep", True)),
        )
    servers = len(reader.get("rollout.urls", ["one"]))
    devices = reader.planning("devices_per_server", 1)
    if devices is None:
        reader.assume("planning.devices_per_server=1, of the same kind as the trainer's")
    return Engine(
        kind,
        compute,
        number,
        max_rows=min(rows, int(reader.get("rollout.concurrency", rows)) * ranks),
        memory_share=SERVER_SHARE,
        servers=servers,
        devices_per_server=int(devices or 1),
    )


def _rows(reader: Reader, key: str) -> int | None:
    """What a source, or all of a mixture together, say of their size; None where one does not."""
    mixed = reader.get("data.source.sources")
    keys = [f"data.source.sources.{name}" for name in mixed] if mixed else ["data.source"]
    sizes = [reader.get(f"{source}.{key}") for source in keys]
    return None if None in sizes else sum(map(int, sizes))


def _rows_here(reader: Reader) -> int | None:
    """Training prompts of a source that takes all of its rows, where they can be counted here.

    Raises:
        UserError: The rows cannot be used.
    """
    if reader.get("data.source.path") is None:
        return None
    source = build(reader.get("data.source"), "data.source")
    if not getattr(source, "is_here", False):
        return None
    with located("data.source"):
        return len(source.load(int(reader.get("seed", 0))).train)


def _schedule(reader: Reader, batch: Batch) -> Schedule:
    prompts = reader.planning("prompts", 1) or _rows(reader, "train") or _rows_here(reader)
    if prompts is None:
        prompts = UNKNOWN_PROMPTS
        reader.assume(f"planning.prompts={prompts} in an epoch")
    held_out = (_rows(reader, "held_out") or 0) * int(reader.get("data.held_out_samples", 1))
    epochs = reader.get("trainer.max_epochs")
    if not isinstance(epochs, int) or epochs < 1:
        reader.assume("the run is one epoch")
        epochs = 1
    search = _search(reader, batch, int(prompts))
    return Schedule(
        prompts=int(prompts),
        epochs=epochs,
        held_out=_draws(reader, "held_out", batch, held_out, held_out),
        search=search,
        searches=_searches(reader, epochs, batch.sizes.mini_batches(int(prompts)), search),
        checkpoints=_checkpoints(reader, epochs),
    )


def _searches(reader: Reader, epochs: int, steps: int, search: Draws) -> int:
    """Of the run; one that makes no metric calls takes no time."""
    if not search.number:
        return 0
    callback = "evolution.callback"
    within, last = (reader.get(f"{callback}.{key}") for key in ("every_n_steps", "last_search"))
    return count_searches(
        epochs,
        steps,
        int(reader.get(f"{callback}.every_n_epochs", 1)),
        None if within is None else int(within),
        None if last is None else int(last),
        bool(reader.get(f"{callback}.at_start", False)),
    )


def _checkpoints(reader: Reader, epochs: int) -> int:
    """That are there at the end: those of epochs that are kept, the most recent one, the best."""
    most = int(reader.get("checkpoint.save_top_k", 1))
    others = [node for node in reader.get("callbacks", {}).values() if node is not None]
    others = [node for node in others if str(node.get("_target_")).endswith("Checkpoint")]
    return (epochs if most < 0 else min(most, epochs)) + len(others)


def _search(reader: Reader, batch: Batch, prompts: int) -> Draws:
    """Metric calls of a search; `p2o.evolution` makes no more."""
    evolver: Any = reader.get("evolution.evolver", {})
    target = str(evolver.get("_target_", "")).rpartition(".")[2]
    if target == "GepaEvolution":
        dev = int(evolver.get("dev_size", 300))
        calls = resolve_budget(evolver.get("budget", "heavy_4"), dev)
        reader.assume("a search spends its budget, in calls as large as its dev set")
        reader.assume("tokens of reflection are not counted")
        return _draws(reader, "evolution", batch, calls, dev)
    if target == "SingleTurnReflection":
        reader.assume("every prompt is hard and reflected on once")
        return _draws(reader, "evolution", batch, prompts, prompts)
    tries = _tries_by_problem(target, evolver)
    if tries:
        reader.assume(f"every prompt is hard and tried with all of its {tries} hints")
        return _draws(reader, "evolution", batch, tries * prompts, prompts)
    if target in ("Demonstrations", "FixedHints"):
        dev = min(int(evolver.get("dev_size", 0)), prompts)
        rounds = 1 + int(evolver.get("rounds", 0)) * int(evolver.get("candidates", 0))
        hints = len(evolver["hints"]) if target == "FixedHints" else rounds
        return _draws(reader, "evolution", batch, hints * dev, dev)
    if target == "SearchInTraining":
        reader.assume("tokens of reflection are not counted")
    elif target not in ("", "RandomTemplates", "SolutionShare"):
        reader.assume(f"{target} makes no metric calls")
    return Draws()


def _draws(reader: Reader, kind: str, batch: Batch, number: int, at_once: int) -> Draws:
    longest = int(reader.get(f"sampling.{kind}.max_new_tokens", batch.new_tokens))
    mean = min(batch.mean_new_tokens, longest)
    return Draws(number, max(1, min(at_once, number)), longest, mean)


def _tries_by_problem(target: str, evolver: Any) -> int:
    """Most hints that a search by problem tries on one; 0 for other searches."""
    match target:
        case "Tiered":
            return len(evolver["tiers"])
        case "SearchedShare":
            return len(evolver["shares"])
        case "SelfHints":
            return int(evolver["number"])
        case "SimilarDemonstrations":
            most = int(evolver["number"])
            return len({*(2**n for n in range(most.bit_length())), most})
    return 0
