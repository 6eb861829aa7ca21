"""Wrong values that are told before torch is imported: those that can be seen without it.

The whole check, `p2o.configuration.validation.section_problems`, imports what the configuration
names, and so torch. Here it imports less. All that it then finds the whole check finds as well.
"""

from collections.abc import Iterator

from omegaconf import DictConfig

from p2o.configuration.sections import Section, Takes
from p2o.configuration.validation import Fault, section_problems

LIGHT = ("p2o.data.", "p2o.reasoning_gym.", "p2o.rollout.engine.", "p2o.verifiers.")
"""How the names of classes begin that are imported without torch."""


def early_problems(node: DictConfig, settings: type[Section]) -> Iterator[Fault]:
    """Problems of a whole configuration that are seen without torch.

    Args:
        node: The configuration.
        settings: What its values have to fit.
    """
    problems = section_problems(node, Takes(settings), may_import=is_light)
    # Another key may be to blame for what is taken from it, and that one is not looked at here; or
    # a class of the user's makes the value, once it is imported.
    return (problem for problem in problems if not problem.derived)


def is_light(name: str) -> bool:
    """Whether what has this full name is imported without torch."""
    return name.startswith(LIGHT)
