"""The error a user can act on."""


class ConfigurationError(ValueError):
    """A setting cannot work; the message names it and what would do."""
