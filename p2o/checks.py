"""What a configuration must satisfy, whatever its parts are; found out before anything runs."""

import pickle
from pathlib import Path

import torch
from hydra.core.hydra_config import HydraConfig
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf

from p2o.errors import UserError


def check(config: DictConfig) -> None:
    """Refuse what cannot work.

    Raises:
        UserError: Names the key and what would do.
    """
    if not isinstance(config.seed, int):
        raise UserError(f"seed={config.seed}: give a whole number")
    data = config.data
    for key in ("group_size", "batch", "mini_batch", "held_out_samples", "max_prompt_tokens"):
        if not isinstance(data[key], int) or data[key] < 1:
            raise UserError(f"data.{key}={data[key]}: give a whole number of at least 1")
    if data.group_size < 2:
        raise UserError("data.group_size=1: a group of one has no contrast; give at least 2")
    if data.mini_batch > data.batch:
        raise UserError(
            f"data.mini_batch={data.mini_batch} is above data.batch={data.batch}; "
            "an optimiser step cannot take more prompts than are rolled out"
        )
    rounds = config.algorithm.sampling_rounds
    if not isinstance(rounds, int) or rounds < 1:
        raise UserError(
            f"algorithm.sampling_rounds={rounds}: give a whole number of at least 1, which is no "
            "dynamic sampling"
        )
    if config.algorithm.kl.coefficient and config.reference is None:
        raise UserError(
            f"algorithm.kl.coefficient={config.algorithm.kl.coefficient} needs a policy to measure "
            "the divergence from; add reference=initial"
        )
    ceiling = OmegaConf.select(config, "callbacks.kl_ceiling.maximum")
    if ceiling is not None and config.reference is None:
        raise UserError(
            f"callbacks.kl_ceiling.maximum={ceiling} needs a policy to measure the divergence "
            "from; add reference=initial"
        )
    if config.save_policy not in ("merged", "adapter", None):
        raise UserError(f"save_policy={config.save_policy}: give merged, adapter or null")
    if config.save_policy == "adapter" and config.model.get("adapter") is None:
        raise UserError("save_policy=adapter: there is no adapter; add model/adapter=lora")
    threshold = OmegaConf.select(config, "mining.threshold")
    if isinstance(threshold, int) and threshold > data.group_size:
        raise UserError(
            f"mining.threshold={threshold} is above data.group_size={data.group_size}, so every "
            f"sample would be hard; give at most {data.group_size}"
        )
    if config.ckpt_path is not None:
        _check_checkpoint(Path(config.ckpt_path))
    devices = config.trainer.get("devices", 1)
    if HydraConfig.get().mode == RunMode.MULTIRUN and devices not in (1, "1", "auto"):
        raise UserError(
            f"trainer.devices={devices} with --multirun: every rank would run the whole sweep; "
            "sweep with devices=1, or start each job with torchrun or SLURM"
        )


def _check_checkpoint(path: Path) -> None:
    if not path.exists():
        raise UserError(f"ckpt_path={path}: no such checkpoint")
    # A sharded checkpoint is a folder, which its strategy reads.
    if path.is_dir():
        return
    try:
        content = torch.load(path, weights_only=True, mmap=True, map_location="meta")
    except (pickle.UnpicklingError, RuntimeError, EOFError, OSError) as error:
        raise UserError(f"ckpt_path={path}: not a checkpoint, or a damaged one") from error
    if not isinstance(content, dict) or "RolloutDataModule" not in content:
        raise UserError(f"ckpt_path={path}: not a checkpoint of p2o-train")
