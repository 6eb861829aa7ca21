"""Keep the terminal for what a user wants to read."""

import logging
import warnings

import datasets
from transformers.utils import logging as transformers_logging


def quieten_libraries() -> None:
    """Silence notices of libraries about things that p2o has settled."""
    transformers_logging.disable_progress_bar()
    datasets.disable_progress_bars()
    logging.getLogger("lightning.pytorch").setLevel(logging.WARNING)
    # What failed in the end is said by p2o's own error.
    logging.getLogger("datasets").setLevel(logging.CRITICAL)
    logging.getLogger("huggingface_hub").setLevel(logging.ERROR)
    for message in (
        # The loader makes its batches itself.
        ".*does not have many workers.*",
        ".*IterableDataset.*",
        # The run directory holds Hydra's files before the logger's.
        ".*Experiment logs directory.*",
        ".*Checkpoint directory .* exists and is not empty.*",
        # The model stays in evaluation mode; see `p2o.policy.CausalPolicy`.
        ".*in eval mode at the start of training.*",
        # What is logged is the same on all ranks.
        ".*It is recommended to use `self.log.*",
        # Internal to Lightning and torch.
        ".*LeafSpec.*",
    ):
        warnings.filterwarnings("ignore", message=message)
