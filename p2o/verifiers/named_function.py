"""A function that a setting names, from a module or from a file."""

import importlib
import importlib.util
import sys
from collections.abc import Callable
from importlib.machinery import SourceFileLoader
from operator import attrgetter
from pathlib import Path
from types import CodeType, ModuleType
from typing import Any

from p2o.errors import UserError, first_line

WAY_OUT = "give FILE.py:NAME or package.module:NAME"


def load_function(argument: str, path: str) -> Callable[..., Any]:
    """The function that ``FILE.py:NAME`` or ``package.module:NAME`` names.

    A file is run anew each time, so an edit of it counts. A relative one is looked for from the
    working folder.

    Args:
        argument: Of the part that was given the path, for messages.
        path: What names the function.

    Raises:
        UserError: There is none of that name, or what holds it cannot be imported.
    """
    where, _, name = path.rpartition(":")
    if not where or not name:
        raise UserError(f"{argument}={path}: names no function; {WAY_OUT}")
    said = f"{argument}={path}"
    module = _run_file(Path(where), said) if where.endswith(".py") else _import(where, said)
    try:
        found = attrgetter(name)(module)
    except AttributeError as error:
        raise UserError(f"{said}: there is no {name} in {where}; {_there(module)}") from error
    if not callable(found):
        raise UserError(f"{said}: {name} is no function; {_there(module)}")
    return found


def check_there(argument: str, path: str) -> None:
    """Refuse a path whose file does not exist; nothing is run or imported.

    Args:
        argument: See `load_function`.
        path: The same.

    Raises:
        UserError: There is no such file.
    """
    where = path.rpartition(":")[0]
    if where.endswith(".py"):
        _find_file(Path(where), f"{argument}={path}")


def _find_file(path: Path, said: str) -> Path:
    file = path.resolve()
    if not file.is_file():
        raise UserError(f"{said}: no such file (looked from {Path.cwd()})")
    return file


class _FromSource(SourceFileLoader):
    """Compiles a file each time.

    Bytecode that Python keeps is that of another version of the file where an edit within the
    same second has left it as long as it was.
    """

    def get_code(self, fullname: str) -> CodeType:
        return self.source_to_code(self.get_data(self.path), self.path)


def _run_file(path: Path, said: str) -> ModuleType:
    file = _find_file(path, said)
    # The whole path is the module's name, so that no file can stand for another module.
    loader = _FromSource(str(file), str(file))
    spec = importlib.util.spec_from_file_location(str(file), file, loader=loader)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    # Dataclasses look their module up there.
    sys.modules[spec.name] = module
    try:
        spec.loader.exec_module(module)
    except (Exception, SystemExit) as error:  # It is anybody's code and may throw anything.
        del sys.modules[spec.name]
        raise UserError(f"{said}: running the file failed ({_described(error)})") from error
    return module


def _import(name: str, said: str) -> ModuleType:
    try:
        return importlib.import_module(name)
    except (Exception, SystemExit) as error:  # As above.
        raise UserError(f"{said}: cannot be imported ({_described(error)}); {WAY_OUT}") from error


def _described(error: BaseException) -> str:
    return f"{type(error).__name__}: {first_line(error)}"


def _there(module: ModuleType) -> str:
    own = [
        name
        for name, value in vars(module).items()
        if callable(value) and getattr(value, "__module__", None) == module.__name__
    ]
    return f"its functions are {', '.join(own)}" if own else "it defines no function"
