"""Words for a key, a group or an option that the configuration does not have."""

import difflib
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from hydra.errors import MissingConfigException
from omegaconf import DictConfig, OmegaConf

from p2o.configuration.commandline import CommandLine
from p2o.configuration.files import conf_directory
from p2o.configuration.validation import find_target
from p2o.constraints import arguments_of
from p2o.errors import UserError

CLOSE = 0.82
"""Likeness from which a name is a slip for a key of the same part.

No argument that the files of p2o leave out is as close to a key that they have: the closest are
``every_n_steps`` and ``every_n_epochs``, 0.815.
"""


def options_of(group: str, folder: Path | None) -> list[str]:
    """Names of a group's options, from p2o's files and those of a folder."""
    roots = [conf_directory(), *([] if folder is None else [folder])]
    return sorted({path.stem for root in roots for path in (root / group).glob("*.yaml")})


def chosen_groups(settings: Sequence[str], folder: Path | None) -> list[str]:
    """Those of the settings of a job that choose an option of a group, or how Hydra runs it."""
    roots = [conf_directory(), *([] if folder is None else [folder])]
    named = [(setting, setting.partition("=")[0].lstrip("+~")) for setting in settings]
    return [setting for setting, key in named if any((root / key).is_dir() for root in roots)]


def missing_option(error: MissingConfigException, line: CommandLine) -> str:
    """One line for a file that does not exist."""
    missing = str(error.missing_cfg_file)
    if "/" not in missing:
        names = ", ".join(options_of("", line.folder))
        return f"--config-name={missing}: no such configuration; there are {names}"
    pairs = [setting.partition("=")[::2] for setting in line.settings]
    given = [(key.lstrip("+"), value) for key, value in pairs]
    default = (missing.rpartition("/")[0], missing.rpartition("/")[2])
    group, option = next((pair for pair in given if "/".join(pair) == missing), default)
    # An option may be in a folder inside of its group.
    folders = (option, option.rpartition("/")[0])
    inner = next((f for f in folders if f and options_of(f"{group}/{f}", line.folder)), "")
    options = options_of(f"{group}/{inner}" if inner else group, line.folder)
    names = ", ".join(f"{inner}/{name}" if inner else name for name in options)
    there_are = f"; there are {names}" if names else ", or what it belongs to is not installed"
    return f"{group}={option}: no such option{there_are}"


def refuse_nothing(job: Sequence[str], folder: Path | None) -> None:
    """Refuse a group that is set to null.

    Args:
        job: Settings.
        folder: With more configuration files.

    Raises:
        UserError: There is one.
    """
    for setting in chosen_groups(job, folder):
        group, _, value = setting.partition("=")
        if value == "null":
            names = ", ".join(options_of(group.lstrip("+"), folder))
            raise UserError(f"{setting}: give one of {names}")


def bad_key(message: str, line: CommandLine, known: DictConfig) -> str:
    """One line for what Hydra says of a key.

    Args:
        message: Hydra's, and that of what caused it.
        line: What it was told.
        known: The configuration of the job that it is about, without the settings of single keys
            and with Hydra's own.
    """
    choices = known.hydra.runtime.choices
    known = OmegaConf.masked_copy(known, [name for name in map(str, known) if name != "hydra"])
    first = message.splitlines()[0]
    settings = [s for s in line.settings if f"'{s.partition('=')[0].lstrip('+~')}'" in first]
    if not settings:
        return first
    setting = settings[0]
    key, _, value = setting.partition("=")
    key = key.lstrip("+~")
    names = _keys(known)
    if key in names and setting.startswith("+"):
        return f"{setting}: there is such a key already; write {key}={value}"
    if key in names and setting.startswith("~"):
        return f"{setting}: the key has another value; write ~{key}"
    inner = re.search(r"Key '([^']+)' is not in struct", message)
    if key in names and inner:
        return f"{key}: has no {inner[1]} so far; write +{key}.{inner[1]}=VALUE"
    beside = keys_beside(key, names)
    # To know what a part takes its module has to be imported, and torch with many of them.
    if not setting.startswith(("+", "~")) and not beside and _takes(known, key):
        return f"{key}: not in the configuration so far; write +{key}={value}"
    others = _other_options(key, choices, line)
    if others:
        return others
    groups = [path.name for path in conf_directory().iterdir() if path.is_dir()]
    leaf = key.rpartition(".")[2]
    same = [other for other in names if other.rpartition(".")[2] == leaf]
    close = beside or same[:3] or difflib.get_close_matches(key, sorted({*names, *groups}))
    hint = f"did you mean {', '.join(close)}?" if close else f"see p2o-{line.name} --cfg job"
    return f"{key}: no such key; {hint}"


def keys_beside(key: str, names: Sequence[str]) -> list[str]:
    """Keys of the same part of which another one is all but the name, or more than half of it.

    Example::

        >>> [keys_beside(key, ["rollout.max_batch_size"]) for key in ("rollout.max_batch", "batch")]
        [['rollout.max_batch_size'], []]

    Args:
        key: One that does not exist.
        names: Those that do.
    """
    parent, _, leaf = key.rpartition(".")
    leaves = [name.rpartition(".")[2] for name in names if name.rpartition(".")[0] == parent]
    close = difflib.get_close_matches(leaf, leaves, cutoff=CLOSE)
    cut_short = [name for name in leaves if name.startswith(leaf) and 2 * len(leaf) > len(name)]
    return [f"{parent}.{name}".lstrip(".") for name in dict.fromkeys([*close, *cut_short])]


def _other_options(key: str, choices: Mapping[str, str | None], line: CommandLine) -> str:
    """One line for a key that other options of its group have; empty where none has it."""
    folders = ["/".join(key.split(".")[:depth]) for depth in range(key.count("."), 0, -1)]
    group = next((folder for folder in folders if choices.get(folder)), None)
    if group is None:
        return ""
    inner = key.split(".")[group.count("/") + 1 :]
    having = [
        option for option in options_of(group, line.folder) if _has(group, option, inner, line)
    ]
    if not having:
        return ""
    named = ", ".join(having[:4]) + (f" and {len(having) - 4} more" if len(having) > 4 else "")
    way_out = ""
    if line.sweep:
        way_out = (
            f"; start one sweep for the options of {group} that have it, and one for those that "
            "have not, with the same hydra.sweep.dir"
        )
    return f"{key}: {group}={choices[group]} has no such key; it is one of {group}={named}{way_out}"


def _has(group: str, option: str, inner: Sequence[str], line: CommandLine) -> bool:
    """Whether the file of an option, or one that it is based on, has a key."""
    roots = [conf_directory(), *([] if line.folder is None else [line.folder])]
    paths = [path for root in roots if (path := root / group / f"{option}.yaml").is_file()]
    if not paths:
        return False
    node: Any = OmegaConf.to_container(OmegaConf.load(paths[-1]))
    bases = [each for each in node.get("defaults", []) if isinstance(each, str)]
    if any(_has(group, base, inner, line) for base in bases if base != "_self_"):
        return True
    for name in inner:
        if not isinstance(node, dict) or name not in node:
            return False
        node = node[name]
    return True


def unreadable(setting: str) -> str:
    """One line for a setting that Hydra's grammar does not take, with how to quote it.

    Example::

        >>> print(unreadable("data.source.question={Body}?"))
        cannot read 'data.source.question={Body}?': quote it twice, 'data.source.question="{Body}?"'

    Args:
        setting: As the shell has handed it over.
    """
    key, equals, value = setting.partition("=")
    if not equals or not value:
        return f"cannot read '{setting}': write key=value"
    if value.startswith("[") and value.endswith("]") and "=" in value:
        entries = [f'"{entry.strip()}"' for entry in value[1:-1].split(",")]
        return f"cannot read '{setting}': quote what has a '=', '{key}=[{','.join(entries)}]'"
    if value.startswith(("[", "(")):
        return f"cannot read '{setting}': a list is written '{key}=[1,2]', with all its brackets"
    # Hydra reads a backslash as one unless it stands before a quote.
    inner = re.sub(r'(\\*)("|$)', lambda found: 2 * found[1] + found[2].replace('"', '\\"'), value)
    quoted = _for_shell(f'{key}="{inner}"')
    return f"cannot read '{setting}': quote it twice, {quoted}"


def _for_shell(word: str) -> str:
    """A word in quotes that a shell takes away."""
    if "'" not in word:
        return f"'{word}'"
    escaped = re.sub(r'(["\\$`])', r"\\\1", word)
    return f'"{escaped}"'


def _takes(config: DictConfig, key: str) -> bool:
    """Whether the part that a key belongs to has an argument of this name."""
    parent, _, leaf = key.rpartition(".")
    node = OmegaConf.select(config, parent) if re.fullmatch(r"[\w.]+", parent) else None
    if not isinstance(node, DictConfig) or "_target_" not in node:
        return False
    try:
        return leaf in arguments_of(find_target(node, parent)).hints
    except UserError:
        return False


def _keys(node: DictConfig, prefix: str = "") -> Sequence[str]:
    keys: list[str] = []
    for name in map(str, node):
        path = f"{prefix}{name}"
        keys.append(path)
        if not OmegaConf.is_missing(node, name) and not OmegaConf.is_interpolation(node, name):
            child = node[name]
            if isinstance(child, DictConfig):
                keys += _keys(child, f"{path}.")
    return keys
