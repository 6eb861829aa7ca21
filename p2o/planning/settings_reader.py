"""Keys of a configuration, and what has to be assumed where it does not say."""

from typing import Any

from omegaconf import DictConfig, OmegaConf

from p2o.errors import UserError


class Reader:
    """Reads a composed configuration of ``p2o-train``; keys that are not there are None.

    Args:
        config: The configuration.

    Attributes:
        assumptions: What was assumed, in words.
    """

    def __init__(self, config: DictConfig) -> None:
        self.config = config
        self.assumptions: list[str] = []

    def get(self, key: str, default: Any = None) -> Any:
        """The value at `key`, or `default` where there is none."""
        value = OmegaConf.select(self.config, key, throw_on_missing=False)
        return default if value is None else value

    def assume(self, text: str) -> None:
        """Note an assumption."""
        if text not in self.assumptions:
            self.assumptions.append(text)

    def planning(self, key: str, least: float, most: float = float("inf")) -> float | None:
        """A number of the ``planning`` node, or None.

        Raises:
            UserError: It is no number, or out of its range.
        """
        value = self.get(f"planning.{key}")
        if value is None:
            return None
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise UserError(f"planning.{key}={value}: give a number")
        if not least <= value <= most:
            end = "" if most == float("inf") else f" and at most {most:g}"
            raise UserError(f"planning.{key}={value}: give at least {least:g}{end}")
        return float(value)
