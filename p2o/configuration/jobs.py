"""The jobs that a command line stands for: one, or those of a sweep."""

from collections.abc import Iterator, Sequence
from itertools import islice, product

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Glob, IntervalSweep, Override

from p2o.configuration.commandline import CommandLine
from p2o.configuration.misnamed import options_of
from p2o.errors import UserError

FIRST_JOBS = 64
"""Of a sweep, which are looked at whole before the first one starts."""


def jobs_of(line: CommandLine) -> Iterator[list[str]]:
    """Settings of the first jobs, and of those that differ from the very first in one setting.

    Raises:
        UserError: A setting has several values, and there is no sweep; or it has none, or one of
            them twice.
    """
    overrides = _parse(line.settings)
    if not line.sweep:
        several = next((o for o in overrides if o.is_sweep_override()), None)
        if several is not None:
            raise UserError(
                f"{several.input_line}: these are several values; -m makes a sweep of them, and "
                "a list is written [a,b]"
            )
        yield list(line.settings)
        return
    folder = next((o for o in overrides if o.get_key_element() == "hydra.run.dir"), None)
    if folder is not None:
        raise UserError(f"{folder.input_line}: a sweep has its runs in hydra.sweep.dir")
    mode = "hydra.mode=MULTIRUN"
    values = [list(_values(override, line)) for override in overrides]
    seen = [[mode, *job] for job in islice(product(*values), FIRST_JOBS)]
    first = [value[0] for value in values]
    for place, value in enumerate(values):
        others = ([mode, *first[:place], other, *first[place + 1 :]] for other in value[1:])
        seen += [job for job in others if job not in seen]
    yield from seen


def _parse(settings: Sequence[str]) -> list[Override]:
    return OverridesParser.create().parse_overrides([*settings])


def _values(override: Override, line: CommandLine) -> Iterator[str]:
    """The settings that a sweep over one makes; of an interval its ends.

    Raises:
        UserError: There is none.
    """
    key, swept = override.get_key_element(), override.value()
    if not override.is_sweep_override():
        yield str(override.input_line)
        return
    if isinstance(swept, IntervalSweep):
        if not any(setting.startswith("hydra/sweeper=") for setting in line.settings):
            raise UserError(
                f"{override.input_line}: an interval has no end of values; list some, or choose "
                "hydra/sweeper=NAME of one that draws"
            )
        found = [str(end) for end in (swept.start, swept.end)]
    elif isinstance(swept, Glob):
        found = swept.filter(options_of(key, line.folder))
    else:
        found = list(override.sweep_string_iterator())
    if not found:
        raise UserError(f"{override.input_line}: stands for no value at all, so there is no job")
    twice = next((value for value in found if found.count(value) > 1), None)
    if twice is not None:
        raise UserError(f"{override.input_line}: {key}={twice} stands there twice")
    yield from (f"{key}={value}" for value in found)
