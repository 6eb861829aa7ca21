"""What MkDocs is told beside the pages of this folder.

The pages are written to be read in the repository, where they point at files. Here the files that
they point at become pages: modules those of the API reference, configurations sections of one page
for each group, a notebook its text, code and output, any other file a page that shows it. A link
that leads nowhere fails the build.
"""

import json
import os
import posixpath
import re
from collections.abc import Iterator
from pathlib import Path

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.exceptions import PluginError
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

HOME = Path(__file__).parents[2]
TOP = {
    "README.md": "index.md",
    "CHANGELOG.md": "changelog.md",
    "CONTRIBUTING.md": "contributing.md",
    "examples/README.md": "examples/index.md",
    **{
        path.relative_to(HOME).as_posix(): f"examples/{path.parent.name}.md"
        for path in sorted((HOME / "examples").glob("*/README.md"))
    },
}
"""Pages that lie elsewhere in the repository."""
NOTEBOOKS = {
    path.relative_to(HOME).as_posix(): f"examples/{path.stem}.md"
    for path in sorted((HOME / "examples").glob("*.ipynb"))
}
LINK = re.compile(r"(?<=\]\()(?!\w+:|#|<)(?P<path>[^)\s#]+)(?P<anchor>#[^)\s]*)?(?=\))")
FENCE = re.compile(r"^( *```.*?^ *```$)", re.MULTILINE | re.DOTALL)


FIRST = (
    "embedded-world",
    "data",
    "verifiers",
    "algorithms",
    "evaluation",
    "metrics",
    "write-your-own",
)
"""Pages that come first in the contents, in this order; the others follow by name."""


def on_config(config: MkDocsConfig) -> MkDocsConfig:
    """Make the contents: pages of this folder, configurations, modules."""
    names = sorted(path.stem for path in (HOME / "docs").glob("*.md"))
    names.sort(key=lambda name: FIRST.index(name) if name in FIRST else len(FIRST))
    evidence = sorted(path.name for path in (HOME / "docs" / "evidence").glob("*.md"))
    config.nav = [
        "index.md",
        *(f"{name}.md" for name in names),
        {
            "Examples": [
                n for n in (*TOP.values(), *NOTEBOOKS.values()) if n.startswith("examples/")
            ]
        },
        {"Evidence": [f"evidence/{name}" for name in evidence]},
        {"Configuration": [name for name, _ in _configuration()]},
        {"API reference": [name for name, _ in _reference()]},
        "changelog.md",
        "contributing.md",
    ]
    return config


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the pages that are made of other files."""
    made = {name: (HOME / source).read_text() for source, name in TOP.items()}
    made |= {name: _as_page(HOME / source) for source, name in NOTEBOOKS.items()}
    made |= dict(_reference()) | dict(_configuration())
    pages = [HOME / source for source in TOP] + [
        Path(file.abs_src_path)
        for file in files
        if file.src_uri.endswith(".md") and file.abs_src_path
    ]
    for page in pages:
        for path in _targets(page):
            name = _shown_as(path)
            if name.startswith("files/") and name not in made:
                made[name] = _shown(path)
    for name, content in made.items():
        files.append(File.generated(config, name, content=content))
    return files


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Let links that are good in the repository be good here."""
    sources = {name: source for source, name in (TOP | NOTEBOOKS).items()}
    source = sources.get(page.file.src_uri)
    if source is None and page.file.generated_by is not None:
        return markdown
    folder = (HOME / source).parent if source else Path(str(page.file.abs_src_path)).parent

    def rewritten(link: re.Match[str]) -> str:
        path = _resolved(folder, link["path"])
        name, anchor = _shown_as(path).partition("#")[::2]
        where = posixpath.relpath(name, posixpath.dirname(page.file.src_uri) or ".")
        return where + (link["anchor"] or (f"#{anchor}" if anchor else ""))

    # Code is no text with links.
    parts = FENCE.split(markdown)
    return "".join(
        part if index % 2 else LINK.sub(rewritten, part) for index, part in enumerate(parts)
    )


def _targets(page: Path) -> Iterator[Path]:
    for part in FENCE.split(page.read_text())[::2]:
        for link in LINK.finditer(part):
            yield _resolved(page.parent, link["path"])


def _resolved(folder: Path, link: str) -> Path:
    path = Path(os.path.normpath(folder / link))
    if not path.exists() or HOME not in path.parents:
        raise PluginError(f"{folder.relative_to(HOME)}: the link to {link} leads nowhere")
    return path.relative_to(HOME)


def _shown_as(path: Path) -> str:
    """The page, and the place in it, that shows a file of the repository."""
    readme = str(path / "README.md")
    for name in (str(path), readme):
        if name in TOP | NOTEBOOKS:
            return (TOP | NOTEBOOKS)[name]
    if path.parts[0] == "docs":
        index = path / "README.md"
        return (index if (HOME / index).is_file() else path).relative_to("docs").as_posix()
    if path.parts[0] == "conf":
        folder = path.parent if path.suffix else path
        name = folder.relative_to("conf").as_posix().replace("/", "_")
        anchor = f"#{path.stem.replace('.', '').lower()}" if path.suffix else ""
        return f"configuration/{'commands' if name == '.' else name}.md{anchor}"
    module = _module(path)
    if module:
        return f"reference/{'.'.join(module.split('.')[:2])}.md#{module}"
    # MkDocs leaves out what begins with a dot.
    return f"files/{path.as_posix().lstrip('.')}.md"


def _module(path: Path) -> str:
    """The module that a file or folder is; empty for none."""
    parts = path.with_suffix("").parts
    parts = parts[1:] if parts[:2] == ("callbacks", "p2o_callbacks") else parts
    package = (HOME / path / "__init__.py").is_file()
    if parts[0] not in ("p2o", "p2o_callbacks") or not (package or path.suffix == ".py"):
        return ""
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def _shown(path: Path) -> str:
    if (HOME / path).is_dir():
        names = sorted(child.name for child in (HOME / path).iterdir() if child.is_file())
        return f"# {path}\n\n" + "".join(f"- `{name}`\n" for name in names)
    kind = {".py": "python", ".yml": "yaml", ".yaml": "yaml"}.get(path.suffix, "text")
    return f"# {path}\n\n````{kind}\n{(HOME / path).read_text().rstrip()}\n````\n"


def _as_page(path: Path) -> str:
    """A notebook as Markdown: its text, its code, and what that printed and drew."""
    parts = []
    for cell in json.loads(path.read_text())["cells"]:
        text = "".join(cell["source"])
        parts.append(text if cell["cell_type"] == "markdown" else f"```python\n{text}\n```")
        for output in cell.get("outputs", ()):
            data = output.get("data", {})
            printed = "".join(output.get("text", data.get("text/plain", "")))
            if "image/png" in data:
                image = "".join(data["image/png"].split())
                parts.append(f"![A plot](data:image/png;base64,{image})")
            elif printed:
                parts.append(f"```text\n{printed.rstrip()}\n```")
    return "\n\n".join(parts) + "\n"


def _reference() -> Iterator[tuple[str, str]]:
    """A page for each room, and for each module that is none."""
    places = [
        *sorted((HOME / "p2o").iterdir()),
        *sorted((HOME / "callbacks/p2o_callbacks").glob("*.py")),
    ]
    for place in places:
        module = _module(place.relative_to(HOME))
        if not module or place.name == "vllm_files.py":
            continue
        submodules = str(place.is_dir()).lower()
        yield (
            f"reference/{module}.md",
            f"# {module}\n\n::: {module}\n    options:\n      show_submodules: {submodules}\n",
        )


def _configuration() -> Iterator[tuple[str, str]]:
    """A page for each group of configurations, with every option as it is."""
    folders = {path.parent for path in (HOME / "conf").rglob("*.yaml")}
    for folder in sorted(folders):
        group = folder.relative_to(HOME / "conf").as_posix()
        title = "Commands" if group == "." else group
        name = "commands" if group == "." else group.replace("/", "_")
        options = "".join(
            f"\n## {path.stem}\n\n```yaml\n{path.read_text().rstrip()}\n```\n"
            for path in sorted(folder.glob("*.yaml"))
        )
        yield f"configuration/{name}.md", f"# {title}\n{options}"
