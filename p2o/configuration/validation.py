"""What is wrong with a configuration, found by the type hints of what it names; nothing is made."""

import difflib
import importlib
import math
import pkgutil
import re
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, get_args

from omegaconf import DictConfig, ListConfig, OmegaConf
from omegaconf.errors import InterpolationResolutionError
from pydantic_core import to_json

from p2o.configuration.sections import (
    Makes,
    Section,
    Takes,
    holds_parts,
    is_part,
    made,
    taken,
    words,
)
from p2o.constraints import alternatives, arguments_of, describe, fits
from p2o.errors import UserError, first_line

ASKS = "_asks_"
"""Key of a verifier's sentence that asks a policy for the form that the verifier reads."""
OWN = ("_target_", "_partial_", ASKS)
"""Keys of a part that are not its target's arguments."""
LARGEST = 3.4e38
"""What 32 bits hold; weights and their optimiser compute with no more."""
LONGEST = 80
"""Characters of a value in a message."""
REFERENCE = re.compile(r"\$\{(?:([\w.]+)\.)?(\w+)\}")
"""An interpolation of another key: where that stands, and its name."""
MOST_HOPS = 10
FEW = 6
"""Keys that are named in place of one that does not exist."""
MayImport = Callable[[str], bool]
"""Whether what has this full name may be imported, to see what it takes."""


@dataclass(frozen=True)
class Fault:
    """One thing that is wrong.

    Attributes:
        key: Where.
        text: What, and the way out, in one line.
        derived: From how many keys, one after the other, the value is taken; one of them may be
            the one to blame.
    """

    key: str
    text: str
    derived: int = 0


def refuse(problems: Iterator[Fault]) -> None:
    """Raise the first problem, those of values that are taken from other keys last.

    Raises:
        UserError: There is one.
    """
    found = sorted(problems, key=lambda problem: problem.derived)
    if found:
        raise UserError(found[0].text)


def refuse_missing(node: DictConfig, key: str, names: Iterable[str] | None = None) -> None:
    """Refuse a node with keys that still have to be given a value.

    Args:
        node: The configuration.
        key: Where it stands.
        names: Of its children to look at; all when left out.

    Raises:
        UserError: Names the first of them.
    """
    for name in map(str, node) if names is None else names:
        if OmegaConf.is_missing(node, name):
            raise UserError(f"{key}.{name}: no value and no default; give it a value")


def anything(name: str) -> bool:
    """What to import of a configuration that is to be used: all of it."""
    return True


def section_problems(
    node: DictConfig, takes: Takes, key: str = "", may_import: MayImport = anything
) -> Iterator[Fault]:
    """Problems of a mapping whose values are what a callable takes.

    Args:
        node: The mapping.
        takes: What the values have to fit.
        key: Where the mapping stands; empty for the whole configuration.
        may_import: Where it says no, nothing is looked at.
    """
    if isinstance(takes.given, str) and not may_import(takes.given):
        return
    arguments = arguments_of(takes.target)
    hints = {name: h for name, h in arguments.hints.items() if name not in takes.known}
    section = isinstance(takes.target, type) and issubclass(takes.target, Section)
    for name in map(str, node):
        path = _join(key, name)
        if name in hints:
            yield from _value_problems(node, name, hints[name], path, section, may_import)
        elif name not in OWN and not arguments.more:
            yield _unknown(path, name, hints)
    if section:
        for name in sorted(arguments.required - set(map(str, node))):
            path = _join(key, name)
            yield Fault(path, f"{path}: it is missing; give {words(hints[name])}")


def part_problems(
    node: DictConfig,
    key: str,
    more: Takes | None = None,
    makes: Makes | None = None,
    may_import: MayImport = anything,
) -> Iterator[Fault]:
    """Problems of a node with a ``_target_``.

    Args:
        node: The node.
        key: Where it stands.
        more: What some of its values have to fit besides the target's own hints.
        makes: What the target has to have.
        may_import: Where it says no, only what does not need the target is looked at.
    """
    name = node.get("_target_")
    if isinstance(name, str) and not may_import(name):
        yield from _narrower_problems(node, key, more, may_import)
        return
    try:
        target = find_target(node, key)
    except UserError as error:
        yield Fault(key, str(error))
        return
    objection = None if makes is None else makes.objection(target)
    if objection is not None:
        yield Fault(f"{key}._target_", f"{key}._target_={name}: {objection}")
        return
    if not isinstance(node.get("_partial_", False), bool):
        yield Fault(key, f"{key}._partial_={show(node['_partial_'])}: give true or false")
    elif makes is not None and node.get("_partial_"):
        text = f"{key}._partial_=true: a part is needed here, not what makes one; leave it out"
        yield Fault(key, text)
    if ASKS in node and not isinstance(node[ASKS], str):
        yield Fault(key, f"{key}.{ASKS}={show(node[ASKS])}: give a text")
    # These come first: they say more, and are what can be said without the target.
    yield from _narrower_problems(node, key, more, may_import)
    yield from section_problems(node, Takes(target), key, may_import)


def _narrower_problems(
    node: DictConfig, key: str, more: Takes | None, may_import: MayImport
) -> Iterator[Fault]:
    """Problems of a part's values with what they have to fit besides the target's own hints."""
    narrower = {} if more is None else arguments_of(more.target).hints
    for name, hint in narrower.items():
        if name in node:
            yield from _value_problems(node, name, hint, _join(key, name), False, may_import)


def find_target(node: DictConfig, key: str) -> Callable[..., Any]:
    """What a node's ``_target_`` names.

    Raises:
        UserError: It cannot be imported or called.
    """
    name = node.get("_target_")
    if not isinstance(name, str) or not name:
        raise UserError(f"{key}._target_={show(name)}: give the full name of a class or function")
    try:
        found = _import(name)
    except Exception as error:  # Importing runs anybody's code, which may throw anything.
        way_out = _way_out(name, error)
        raise UserError(f"{key}: cannot make {name} ({first_line(error)}){way_out}") from error
    if not callable(found):
        raise UserError(f"{key}._target_={name}: is no class or function")
    return found


def _import(name: str) -> Any:
    try:
        return pkgutil.resolve_name(name)
    except AttributeError:
        # Where a module inside a package cannot be imported, this says why.
        importlib.import_module(name.rpartition(".")[0])
        raise


def _way_out(name: str, error: Exception) -> str:
    """What to do about a module that is missing."""
    missing = error.name if isinstance(error, ModuleNotFoundError) else None
    if not missing:
        return ""
    package = sys.modules.get(missing.rpartition(".")[0])
    if f"{name}.".startswith(f"{missing}.") and package is not None:
        folders = " and ".join(package.__path__)
        return f"; {package.__name__} is in {folders}, where there is no such module"
    if f"{name}.".startswith(f"{missing}."):
        return f"; start with PYTHONPATH=FOLDER, the folder that {missing} is in"
    return f"; install {missing}, which it imports"


def show(value: Any) -> str:
    """A value in one line, as it is written in a configuration."""
    if isinstance(value, DictConfig | ListConfig):
        value = OmegaConf.to_container(value)
    said = value if isinstance(value, str) else to_json(value, fallback=str).decode()
    said = " ".join(said.split())
    return said if len(said) <= LONGEST else f"{said[:LONGEST]}..."


def _value_problems(
    node: DictConfig, name: str, hint: Any, path: str, section: bool, may_import: MayImport
) -> Iterator[Fault]:
    if OmegaConf.is_missing(node, name):
        # What has no value yet is refused where it is needed.
        return
    derived = _hops(node, name)
    try:
        value = node.get(name)
        found = list(_problems(value, hint, path, section, may_import))
    # An interpolation that leads nowhere; it may also stand inside of the value.
    except InterpolationResolutionError as error:
        yield Fault(path, f"{path}: {first_line(error)}", max(derived, 1))
        return
    yield from (Fault(each.key, each.text, derived + each.derived) for each in found)


def _hops(node: Any, name: str) -> int:
    """How many keys lead to a value; 0 for a value of its own."""
    root, hops = node._get_root(), 0
    while OmegaConf.is_interpolation(node, name) and hops < MOST_HOPS:
        hops += 1
        raw: Any = OmegaConf.to_container(node, resolve=False)
        other = REFERENCE.fullmatch(str(raw[name]))
        if other is None:
            break
        parent, name = other[1] or "", other[2]
        node = root
        for part in filter(None, parent.split(".")):
            node = node.get(part) if isinstance(node, DictConfig) else None
        if not isinstance(node, DictConfig) or name not in node:
            break
    return hops


def _problems(
    value: Any, hint: Any, path: str, section: bool, may_import: MayImport
) -> Iterator[Fault]:
    members = alternatives(hint)
    if value is None and type(None) in members:
        return
    if isinstance(value, DictConfig):
        if "_target_" in value and (not section or any(map(is_part, members))):
            part = next((m for m in members if is_part(m)), None)
            yield from part_problems(value, path, taken(part), made(part), may_import)
            return
        inner = next((taken(m) for m in members if not is_part(m) and taken(m)), None)
        if inner is not None:
            yield from section_problems(value, inner, path, may_import)
            return
        children = next((get_args(m)[1] for m in members if holds_parts(m)), None)
        if children is not None:
            for name in map(str, value):
                inside = _join(path, name)
                yield from _value_problems(value, name, children, inside, True, may_import)
            return
    if not section and _parts_inside(value):
        for name, child in _items(value):
            yield from _problems(child, Any, _join(path, name), section, may_import)
        return
    if any(is_part(m) or taken(m) or holds_parts(m) for m in members):
        yield Fault(path, f"{path}={show(value)}: give {words(hint)}")
        return
    plain = value
    if isinstance(value, DictConfig | ListConfig):
        plain = OmegaConf.to_container(value, resolve=True)
    if _is_too_large(plain):
        yield Fault(path, f"{path}={show(plain)}: give whole numbers below 2**63")
    elif _is_beyond_float32(plain):
        yield Fault(path, f"{path}={show(plain)}: give numbers below {LARGEST:g}")
    elif not fits(plain, hint):
        yield Fault(path, f"{path}={show(plain)}: give {describe(hint)}")


def _is_beyond_float32(value: Any) -> bool:
    """Whether there is a finite number that weights could not hold."""
    if isinstance(value, dict):
        return any(map(_is_beyond_float32, value.values()))
    if isinstance(value, list):
        return any(map(_is_beyond_float32, value))
    return isinstance(value, float) and math.isfinite(value) and abs(value) > LARGEST


def _is_too_large(value: Any) -> bool:
    """Whether there is a whole number that libraries written in C cannot hold."""
    if isinstance(value, dict):
        return any(map(_is_too_large, value.values()))
    if isinstance(value, list):
        return any(map(_is_too_large, value))
    return isinstance(value, int) and not -(2**63) <= value < 2**63


def _parts_inside(value: Any) -> bool:
    if isinstance(value, DictConfig) and "_target_" in value:
        return True
    if not isinstance(value, DictConfig | ListConfig):
        return False
    return any(_parts_inside(child) for _, child in _items(value))


def _items(value: Any) -> Iterator[tuple[str, Any]]:
    """Children of a mapping or a list, those without a value left out."""
    names = value if isinstance(value, DictConfig) else range(len(value))
    for name in names:
        if not OmegaConf.is_missing(value, name):
            yield str(name), value[name]


def _unknown(path: str, name: str, known: Mapping[str, Any]) -> Fault:
    close = difflib.get_close_matches(name, known) or (list(known) if len(known) <= FEW else [])
    hint = f"did you mean {', '.join(close)}?" if close else "see --cfg job for what there is"
    return Fault(path, f"{path}: no such key; {hint}")


def _join(key: str, name: str) -> str:
    return f"{key}.{name}" if key else name
