"""What is not there is told before torch is imported: values that are needed, a run, a file."""

from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf

from p2o.configuration.validation import refuse_missing
from p2o.errors import located
from p2o.export.run_directory import read_config
from p2o.verifiers.named_function import check_there

OF_VERIFIERS = "p2o.verifiers."
"""Where the names of p2o's own begin; others may read their paths in another way."""


def refuse_absent_in_training(config: DictConfig) -> None:
    """Refuse a configuration of ``p2o-train`` with parts that lack a value, or a file.

    Raises:
        UserError: Names the key.
    """
    # Memory and time are planned without data.
    if config.get("plan"):
        return
    searching = ("reflection",) if config.get("evolution") is not None else ()
    _refuse_absent(config, "data.source", "rollout", "verifier", *searching)


def refuse_absent_in_diagnosis(config: DictConfig) -> None:
    """Refuse the same of ``p2o-doctor``, which samples and makes no search.

    Raises:
        UserError: Names the key.
    """
    _refuse_absent(config, "data.source", "rollout", "verifier")


def refuse_absent_in_data(config: DictConfig) -> None:
    """Refuse the same of ``p2o-data``, which samples nothing.

    Raises:
        UserError: Names the key.
    """
    _refuse_absent(config, "data.source")


def refuse_absent_in_evaluation(config: DictConfig) -> None:
    """Refuse the same of ``p2o-eval``, or a run that is none.

    Raises:
        UserError: Names the key, or the folder that is no run.
    """
    run = _text(config, "run")
    if run is not None and config.get("rescore") is None:
        # It says what its parts are.
        read_config(Path(run))
    else:
        _refuse_absent(config, "benchmarks.held_out.table", "rollout", "verifier")


def _refuse_absent(config: DictConfig, *keys: str) -> None:
    for key in keys:
        node = OmegaConf.select(config, key, throw_on_resolution_failure=False)
        if isinstance(node, DictConfig):
            refuse_missing(node, key)
    if (_text(config, "verifier._target_") or "").startswith(OF_VERIFIERS):
        for argument in ("path", "function"):
            path = _text(config, f"verifier.{argument}")
            if path is not None:
                with located("verifier"):
                    check_there(argument, path)


def _text(config: DictConfig, key: str) -> str | None:
    """A text; None for anything else, which is refused where types are."""
    value: Any = OmegaConf.select(config, key, throw_on_resolution_failure=False)
    return value if isinstance(value, str) else None
