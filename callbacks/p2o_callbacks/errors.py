"""The errors a user can act on."""


class ConfigurationError(ValueError):
    """A setting cannot work; the message names it and what would do."""


class TrainingCollapsed(Exception):
    """Training has gone where more of it would not help; the message says what was seen."""
