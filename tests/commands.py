"""The commands that README, docs, yaml headers and ``--help`` print, as a shell reads them."""

import re
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import yaml

ROOT = Path(__file__).parents[1]
PROGRAMS = (
    *("p2o-train", "p2o-eval", "p2o-data", "p2o-export"),
    *("p2o-bench", "p2o-show", "p2o-report", "p2o-pool", "p2o-doctor"),
    *("python", "pip", "make", "torchrun", "srun", "vllm", "git", "source"),
)
"""What a documented command may begin with; for another one its test has to be written."""
SHELL = "shopt -s failglob\n" + "\n".join(
    f"{name}() {{ printf '%s\\037' {name} \"$@\"; }}" for name in PROGRAMS
)
"""Each program prints what it is given. Brackets that are not quoted fail, as in zsh."""
BEGINS = re.compile(rf"(?:[A-Z_]+=\S+ )*({'|'.join(map(re.escape, PROGRAMS))})(?= |$)")


@dataclass(frozen=True)
class Command:
    """One command.

    Attributes:
        place: Where it stands.
        text: As it is printed.
    """

    place: str
    text: str

    @property
    def code(self) -> str:
        """Without a comment, and with single blanks."""
        return " ".join(re.sub(r"\s#.*", "", self.text).split())

    def words(self, folder: Path = ROOT) -> list[str]:
        """Program and arguments, as a shell in a folder hands them over; without an ellipsis.

        Raises:
            AssertionError: The shell does not take it, or does not know the program.
        """
        # What a program prints has to come here.
        text = re.sub(r"\s>\s*\S+", "", self.text)
        done = subprocess.run(
            ["bash", "-c", f"{SHELL}\n{text}"], capture_output=True, text=True, cwd=folder
        )
        assert done.returncode == 0, f"{self}: {done.stderr}"
        return [word for word in done.stdout.split("\x1f")[:-1] if word != "..."]


def commands() -> list[Command]:
    """All of them, each once, whatever comment stands behind it."""
    found = [*_of_pages(), *_of_yaml(), *_of_help()]
    return list({command.code: command for command in found}.values())


def _of_pages() -> Iterator[Command]:
    more = (page for name in ("docs", "examples") for page in sorted((ROOT / name).rglob("*.md")))
    for page in (ROOT / "README.md", ROOT / "CONTRIBUTING.md", *more):
        name, text = page.relative_to(ROOT).as_posix(), page.read_text()
        # Its commands are the benchmarks', which run them.
        if name == "docs/evidence/speed.md":
            continue
        for block in re.findall(r"^```bash\n(.*?)^```", text, re.MULTILINE | re.DOTALL):
            yield from (Command(name, line) for line in _lines(block))
        text = re.sub(r"^```.*?^```", "", text, flags=re.MULTILINE | re.DOTALL)
        for code in re.findall(r"`([^`]+)`", text):
            line = " ".join(code.split())
            # A name alone is no command.
            if BEGINS.match(line) and " " in line:
                yield Command(name, line)


def _lines(block: str) -> Iterator[str]:
    """The commands of a block of shell code."""
    for line in block.replace("\\\n", " ").splitlines():
        line = line.strip().removesuffix("&").strip()
        if line and not line.startswith(("#", "trap ", "wait", "cd ")):
            yield line


def _of_yaml() -> Iterator[Command]:
    for path in sorted((ROOT / "conf").rglob("*.yaml")):
        name = path.relative_to(ROOT).as_posix()
        text = re.sub(r"\\\n#\s*", " ", path.read_text())
        for line in re.findall(r"^# ?((?:p2o-|pip |python ).*)$", text, re.MULTILINE):
            yield Command(name, re.split(r": |:$", line)[0])


def _of_help() -> Iterator[Command]:
    for name in ("train", "eval", "bench"):
        footer = yaml.safe_load((ROOT / "conf" / f"{name}.yaml").read_text())["hydra"]["help"]
        lines = footer["footer"].splitlines()
        yield from _indented(lines, f"p2o-{name} --help")
    for path in sorted((ROOT / "p2o" / "cli").rglob("*.py")):
        docstring = path.read_text().split('"""')[1].replace("\\\n", " ").splitlines()
        yield from _indented(docstring, path.relative_to(ROOT).as_posix())


def _indented(lines: list[str], place: str) -> Iterator[Command]:
    for line in lines:
        # What follows two spaces says what the command does.
        code = re.sub(r"(?<=\S) {2,}(?=\S).*", "", line.strip())
        if line.startswith("  ") and BEGINS.match(code):
            yield Command(place, code)
