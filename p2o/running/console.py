"""Keep the terminal for what a user wants to read."""

import functools
import logging
import sys
import warnings
from collections.abc import Callable
from typing import ParamSpec

import datasets
from tqdm.std import tqdm
from transformers.utils import logging as transformers_logging

from p2o.running.terminal import PlainFormatter

Given = ParamSpec("Given")


def quieten_libraries() -> None:
    """Silence notices of libraries about things that p2o has settled; logs become plain text."""
    for handler in logging.getLogger().handlers:
        handler.setFormatter(PlainFormatter(handler.formatter or logging.Formatter()))
    transformers_logging.disable_progress_bar()
    datasets.disable_progress_bars()
    if not sys.stderr.isatty():
        # Bars of libraries, such as that of a GGUF file, would fill a log with hundreds of lines.
        quiet = functools.partialmethod(tqdm.__init__, disable=True)
        tqdm.__init__ = quiet  # type: ignore[method-assign]
    logging.getLogger("lightning.pytorch").setLevel(logging.WARNING)
    # A log file on a disk that is full says nothing; the run itself does.
    logging.raiseExceptions = False
    # What failed in the end is said by p2o's own error.
    logging.getLogger("datasets").setLevel(logging.CRITICAL)
    logging.getLogger("huggingface_hub").setLevel(logging.ERROR)
    # They tell whole addresses and headers, which may hold keys.
    for name in ("httpx", "httpcore"):
        logging.getLogger(name).setLevel(logging.WARNING)
    for message in (
        # The loader makes its batches itself.
        ".*does not have many workers.*",
        ".*IterableDataset.*",
        # The run directory holds Hydra's files before the logger's.
        ".*Experiment logs directory.*",
        ".*Checkpoint directory .* exists and is not empty.*",
        # A step without any gradient is handed out as None.
        ".*train_dataloader yielded None.*",
        # The model stays in evaluation mode; see `p2o.policy.causal.CausalPolicy`.
        ".*in eval mode at the start of training.*",
        # What is logged is the same on all ranks.
        ".*It is recommended to use `self.log.*",
        # Internal to Lightning and torch.
        ".*LeafSpec.*",
    ):
        warnings.filterwarnings("ignore", message=message)


def ended_by_interrupt(main: Callable[Given, None]) -> Callable[Given, None]:
    """Let Ctrl-C end a program in one line, with the status that shells expect."""

    @functools.wraps(main)
    def run(*arguments: Given.args, **named: Given.kwargs) -> None:
        try:
            main(*arguments, **named)
        except KeyboardInterrupt:
            print("\nstopped by Ctrl-C", file=sys.stderr)
            sys.exit(130)

    return run
