"""The streams of values that samples carry: p2o's, and those that a configuration adds."""

from collections.abc import Mapping
from typing import Any

from omegaconf import DictConfig

from p2o.configuration.build import build
from p2o.errors import UserError
from p2o.learning.scored import STREAMS, Stream

TAKEN = {*STREAMS, "entropies"}
"""Names of what a loss can read already; entropies are known in the update alone."""


def make_streams(config: DictConfig) -> Mapping[str, Stream]:
    """All streams by their names, those left out by ``null`` not.

    Args:
        config: Of ``p2o-train``.

    Raises:
        UserError: A name is taken, or a part cannot be had or makes no function.
    """
    added = [name for name, node in config.streams.items() if node is not None]
    return {**STREAMS, **{name: _made(config, name) for name in added}}


def _made(config: DictConfig, name: str) -> Any:
    key, node = f"streams.{name}", config.streams[name]
    if name in TAKEN:
        raise UserError(f"{key}: there is a stream of that name already; give yours another one")
    made = build(node, key)
    if not callable(made):
        raise UserError(
            f"{key}._target_={node.get('_target_')}: makes no function; name a function, with "
            "_partial_=true, or a class whose objects can be called"
        )
    return made
