"""Which miner a search follows."""

from typing import Any

from lightning.pytorch import Trainer

from p2o_callbacks.errors import ConfigurationError
from p2o_callbacks.protocols import HardSetSource


def find_miner(trainer: Trainer, name: str | None = None) -> HardSetSource:
    """The miner of a name, or the only one; it may stand anywhere among the callbacks.

    The hard set of an epoch is there when the next one begins.

    Args:
        trainer: Has it among its callbacks.
        name: Of the miner; None where there is one alone.

    Raises:
        ConfigurationError: It is not clear which one is meant.
        TypeError: There is none.
    """
    callbacks: list[Any] = trainer.callbacks  # type: ignore[attr-defined]
    sources = [each for each in callbacks if isinstance(each, HardSetSource)]
    if not sources:
        raise TypeError(
            "PromptEvolution needs a callback with a hard_set, such as HardSampleMiner, in "
            "Trainer(callbacks=[...])"
        )
    names = [getattr(each, "name", "") for each in sources]
    if name is not None:
        named = zip(sources, names, strict=True)
        sources = [each for each, known in named if known == name]
    if len(sources) != 1:
        raise ConfigurationError(
            f"miner={name}: there are miners with the names {', '.join(names)}; "
            "name one of them, and no two alike"
        )
    return sources[0]
