"""What a message or a page calls a key is one that a configuration has."""

import ast
import inspect
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hydra.utils import get_object
from omegaconf import OmegaConf

import p2o
import p2o_callbacks
from p2o.configuration.build import conf_directory
from p2o.configuration.overrides import compose_config

pytestmark = pytest.mark.slow

ROOTS = [Path(str(module.__file__)).parent for module in (p2o, p2o_callbacks)]
FILES = sorted(path for root in ROOTS for path in root.rglob("*.py"))
HOME = Path(__file__).parents[1]
PAGES = sorted([*(HOME / "docs").glob("*.md"), HOME / "README.md"])
SPEAKING = {"UserError", "ConfigurationError", "EngineError", "TrainingCollapsed", "Preempted"}
SPEAKING |= {"warning", "info", "error", "Fault", "leave_out"}
NAME = re.compile(r"(?<![\w./+-])([a-z][a-z_]*(?:\.[a-z_]+)+)(?![\w(/])")
SETTING = re.compile(NAME.pattern.removesuffix(r"(?![\w(/])") + "(?==)")
OTHERS = re.compile(r"hydra\.|\w+\.options\.")
"""Keys that are not p2o's to know."""
OF_PAGES = {"verifier.width", "distillation.tokens"}
"""Settings of parts that a page writes."""


def options() -> Iterator[tuple[str, list[str]]]:
    """A composition for each option of each group, by its primary configuration."""
    for file in sorted(conf_directory().rglob("*.yaml")):
        folder = file.parent.relative_to(conf_directory()).as_posix()
        if folder == ".":
            yield file.stem, []
        elif folder == "suite":
            yield "eval", [f"suite={file.stem}"]
        elif folder in ("arm", "bench"):
            yield "bench", [f"{folder}={file.stem}"]
        else:
            yield "train", [f"{folder}={file.stem}"]


def nodes(node: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    for name, child in node.items() if isinstance(node, dict) else ():
        below = f"{path}.{name}".lstrip(".")
        yield below, child
        yield from nodes(child, below)


@pytest.fixture(scope="module")
def known() -> set[str]:
    """All keys that some composition has."""
    return {
        path
        for primary, settings in options()
        for path, _ in nodes(OmegaConf.to_container(compose_config(settings, primary)))
    }


def said(path: Path) -> Iterator[tuple[int, str]]:
    """Texts of messages in a file, with a star for what is filled in."""
    for call in ast.walk(ast.parse(path.read_text())):
        if not isinstance(call, ast.Call):
            continue
        name = getattr(call.func, "id", getattr(call.func, "attr", ""))
        if name not in SPEAKING:
            continue
        for argument in ast.walk(call):
            if isinstance(argument, ast.JoinedStr):
                parts = [
                    str(v.value) if isinstance(v, ast.Constant) else "*" for v in argument.values
                ]
                yield call.lineno, "".join(parts)
            elif isinstance(argument, ast.Constant) and isinstance(argument.value, str):
                yield call.lineno, argument.value


def unknown_keys(text: str, known: set[str], pattern: re.Pattern[str] = NAME) -> list[str]:
    tops = {key.partition(".")[0] for key in known}
    named = [name for name in pattern.findall(text) if name.partition(".")[0] in tops]
    return [name for name in named if name not in known]


@pytest.mark.parametrize("path", FILES, ids=lambda path: "/".join(path.parts[-2:]))
def test_a_key_in_a_message_is_one_that_there_is(path, known):
    wrong = [(line, unknown_keys(text, known)) for line, text in said(path)]
    assert not [each for each in wrong if each[1]]


@pytest.mark.parametrize("page", PAGES, ids=lambda path: path.stem)
def test_a_setting_on_a_page_is_one_that_there_is(page, known):
    quoted = re.findall(r"`([^`]+)`|^\s*(p2o-\w+ .*)$", page.read_text(), re.MULTILINE)
    texts = [code or line for code, line in quoted]
    settings = {name for text in texts for name in unknown_keys(text, known, SETTING)}
    alone = {name for text in texts if NAME.fullmatch(text) for name in unknown_keys(text, known)}
    modules = {name for name in alone if (ROOTS[0] / f"{name.replace('.', '/')}.py").is_file()}
    wrong = (settings | alone) - OF_PAGES - modules
    assert not {name for name in wrong if not OTHERS.match(name)}


def test_the_scan_sees_messages_and_keys(known):
    assert unknown_keys("evolution.width=0: give 1, or raise data.batch", known) == [
        "evolution.width"
    ]
    messages = [text for path in FILES for _, text in said(path)]
    assert len(messages) > 150
    assert any("data.group_size" in text for text in messages)


def modules_of_parts() -> list[Path]:
    """Files of the classes and functions that configurations name."""
    names = set()
    for file in conf_directory().rglob("*.yaml"):
        names |= set(re.findall(r"_target_: (p2o\S+)", file.read_text()))
    return sorted({Path(inspect.getfile(get_object(name))) for name in names})


@pytest.mark.parametrize("path", modules_of_parts(), ids=lambda path: path.stem)
def test_a_part_names_its_arguments_alone_when_it_refuses_them(path, known):
    """Where it stands in a configuration is for whoever makes it to say."""
    groups = "|".join({key.partition(".")[0] for key in known})
    wrong = [
        raised.lineno
        for function in ast.walk(ast.parse(path.read_text()))
        if isinstance(function, ast.FunctionDef) and function.name in ("__init__", "__post_init__")
        for raised in ast.walk(function)
        if isinstance(raised, ast.Raise)
        and re.search(rf"Error\(f?['\"]({groups})\.", ast.unparse(raised))
    ]
    assert not wrong


READERS = {"cli", "configuration", "bench", "planning", "report"}
"""Rooms whose business is a run's configuration: they read it, compose it or advise on it."""


def library_files() -> list[Path]:
    rooms = {path: path.relative_to(root).parts[0] for root in ROOTS for path in root.rglob("*.py")}
    return sorted(path for path, room in rooms.items() if room not in READERS)


def texts(path: Path) -> Iterator[tuple[int, str]]:
    """All texts of a file that are no docstrings."""
    tree = ast.parse(path.read_text())
    alone = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in alone:
            yield node.lineno, node.value


def keys_of_a_run(text: str, known: set[str]) -> list[str]:
    """Dotted keys that a configuration has, and choices of a group's option."""
    tops = {key.partition(".")[0] for key in known} - {"hydra"}
    dotted = [name for name in re.findall(rf"(?<![\w./-])(?:{'|'.join(tops)})(?:\.\w+)+", text)]
    dotted = [name for name in dotted if name in known or ".options." in name]
    pairs = re.findall(r"(?<![\w./+-])([\w/]+)=(\w+)", text)
    chosen = [f"{group}={name}" for group, name in pairs if is_option(group, name)]
    single = re.findall(r"\b(?:ckpt_path|data_root|resume_changed|resume=\w+)", text)
    section = re.findall(rf"^(?:{'|'.join(tops)}): ", text)
    folder = re.findall(r"\bhydra\.(?:run|sweep)\.dir", text)
    return dotted + chosen + single + section + folder


def is_option(group: str, name: str) -> bool:
    return (conf_directory() / group / f"{name}.yaml").is_file()


@pytest.mark.parametrize("path", library_files(), ids=lambda path: "/".join(path.parts[-2:]))
def test_a_library_knows_no_key_of_a_configuration(path, known):
    """It names its arguments; `build` and the commands say where these stand."""
    wrong = [(line, keys_of_a_run(text, known)) for line, text in texts(path)]
    assert not [each for each in wrong if each[1]]


def test_the_scan_sees_keys_and_choices(known):
    assert keys_of_a_run("raise sampling.train.max_new_tokens=8", known)
    assert keys_of_a_run("take distillation=tapered", known) == ["distillation=tapered"]
    assert keys_of_a_run("rollout: vLLM failed (out of memory)", known) == ["rollout: "]
    assert keys_of_a_run("add +model.options.trust=true, or data_root=X", known)
    assert keys_of_a_run("give another hydra.run.dir", known) == ["hydra.run.dir"]
    assert not keys_of_a_run("raise max_new_tokens=8, see p2o.data.table", known)
    assert len(library_files()) > 150
