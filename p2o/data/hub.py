"""Rows of hub data sets, read with ``datasets``."""

from collections.abc import Mapping, Sequence
from typing import Any

from p2o.errors import UserError
from p2o.running.hub import cached_if_unreachable


def read_hub(path: str, name: str | None, split: str) -> Sequence[Mapping[str, Any]]:
    """Rows of a hub data set.

    Raises:
        UserError: It is not there, or the hub cannot be reached.
    """
    import datasets
    from datasets.exceptions import DatasetGenerationError

    try:
        with cached_if_unreachable():
            return datasets.load_dataset(path, name, split=split).to_list()
    except (OSError, DatasetGenerationError, ValueError, OverflowError, RuntimeError) as error:
        raise UserError(
            f"path={path}: no file, and not to be had from the hub "
            f"({str(error).splitlines()[0]}); give a local .json, .jsonl, .parquet or .csv file"
        ) from error
