"""An evaluation of a run asks and judges as the run did, unless it is told otherwise."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, ListConfig, OmegaConf, open_dict
from omegaconf.errors import OmegaConfBaseException

from p2o.errors import UserError, first_line
from p2o.export.run_directory import from_there, hydra_as, read_config, read_hydra

PLACES = {
    "model": "model",
    "verifier": "verifier",
    "verifier_guard": "verifier_guard",
    "environment": "environment",
    "renderer": "renderer",
    "max_prompt_tokens": "data.max_prompt_tokens",
    "max_new_tokens": "sampling.held_out.max_new_tokens",
}
"""Keys of ``p2o-eval``, and where a run has the same."""
LATE = ("${oc.env:", "${file:")
"""References to keys, which are written down as they are."""


def as_trained(config: DictConfig, settings: Sequence[str]) -> DictConfig:
    """A configuration of ``p2o-eval`` with what its run says where the command line says nothing.

    Without a ``suite`` it is the run's held-out rows that are asked, with its sampling.

    Args:
        config: With a ``run``.
        settings: Of the command line.

    Raises:
        UserError: There is no such run, or its configuration refers to what is not there.
    """
    run = Path(str(config.run))
    own, hydra = read_config(run), read_hydra(run)
    given = [setting.lstrip("+").partition("=")[0] for setting in settings]
    merged = config.copy()
    try:
        with hydra_as(hydra), open_dict(merged):
            for key, place in PLACES.items():
                value = _plain(own, place, hydra)
                if key not in given and value is not None:
                    merged[key] = value
            if not any(key == "suite" or key.startswith("benchmarks") for key in given):
                merged["benchmarks"] = {"held_out": None}
            if "held_out" in merged.benchmarks:
                merged["benchmarks"]["held_out"] = _held_out(own, hydra)
            for key in given:
                if key.startswith((*(f"{place}." for place in PLACES), "benchmarks.held_out.")):
                    OmegaConf.update(merged, key, OmegaConf.select(config, key))
    except OmegaConfBaseException as error:
        raise UserError(f"run={run}: {first_line(error)}") from error
    return merged


def _held_out(own: DictConfig, hydra: DictConfig) -> dict[str, Any]:
    sampling = "sampling.held_out"
    return {
        "table": {
            "_target_": "p2o.data.sources.HeldOut",
            "source": _plain(own, "data.source", hydra),
            "seed": own.seed,
        },
        "samples": own.data.held_out_samples,
        "drops_unusable": True,
        **{
            name: _plain(own, f"{sampling}.{name}", hydra)
            for name in ("temperature", "top_p", "top_k", "stop_token_ids")
        },
    }


def _plain(config: DictConfig, place: str, hydra: DictConfig) -> Any:
    """A value of a run's configuration without references but those to keys."""
    parent, _, name = place.rpartition(".")
    node: Any = OmegaConf.select(config, parent) if parent else config
    return _value(node, name, hydra)


def _value(node: Any, name: Any, hydra: DictConfig) -> Any:
    if OmegaConf.is_interpolation(node, name):
        raw: Any = OmegaConf.to_container(node, resolve=False)
        if any(sign in raw[name] for sign in LATE):
            return raw[name]
    value = node[name]
    if isinstance(value, DictConfig):
        return {key: _value(value, key, hydra) for key in value}
    if isinstance(value, ListConfig):
        return [_value(value, index, hydra) for index in range(len(value))]
    return from_there(value, hydra) if name == "path" and isinstance(value, str) else value
