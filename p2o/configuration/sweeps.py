"""Where the jobs of a sweep go: folders with short names that follow from what a job is told."""

import re
from hashlib import sha256
from pathlib import Path

from hydra.types import RunMode

from p2o.running.secrets import hide_settings

LONGEST = 80
"""Characters of a name."""
DIGITS = 10
"""Of the hash that ends a name in which settings had to be changed."""


def job_folder(settings: str) -> str:
    """Name of a job's folder; jobs with other settings have other names.

    It does not depend on which other jobs there are, so that a sweep can be given more arms or
    seeds and be started again.

    Example::

        >>> job_folder("distillation=no_crm,seed=1")
        'distillation=no_crm,seed=1'
        >>> job_folder("model.path=/data/my model,seed=1")
        'seed=1,model.path=-data-my-model_724381c270'
        >>> job_folder("")
        'defaults'

    No key is in it that a job is given in clear.

    Args:
        settings: Hydra's ``override_dirname``.
    """
    name = _clean(settings)
    if name == settings and len(name) <= LONGEST:
        return name or "defaults"
    # What is cut off should be what jobs have in common: groups and seeds are seldom that.
    single = re.split(r",(?=[+~]*[\w./@]+=)", settings)
    name = _clean(",".join(sorted(single, key=lambda each: "." in each.partition("=")[0])))
    end = f"_{sha256(settings.encode()).hexdigest()[:DIGITS]}"
    return name[: LONGEST - len(end)] + end


def _clean(settings: str) -> str:
    return re.sub(r"[^\w.,=+-]+", "-", hide_settings(settings), flags=re.ASCII).strip("-.")


def sweep_name(mode: RunMode | None, folder: str) -> str | None:
    """What all jobs of a sweep have in common: the name of the folder that theirs are in.

    Args:
        mode: Hydra's.
        folder: Of the job.

    Returns:
        None for a run that is no job of a sweep.
    """
    return Path(folder).parent.name if mode == RunMode.MULTIRUN else None
