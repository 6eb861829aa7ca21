"""A report on the disk: the page, its tables and its figures."""

from collections.abc import Mapping
from pathlib import Path

from p2o.errors import UserError
from p2o.report.charts import LIGHT
from p2o.report.contents import Contents
from p2o.report.drawing import drawing_library, page_library
from p2o.report.pages import page
from p2o.report.tables import as_csv, as_latex, as_markdown

PAGE = "report.html"
SCALE = 2
"""Pixels of a PNG for each of the chart's."""
FORMATS = {"csv": as_csv, "md": as_markdown, "tex": as_latex}


def write_report(contents: Contents, folder: Path, figures: bool = True) -> Path:
    """Write ``report.html`` and, beside it, ``tables/`` and ``figures/``; return the page.

    Args:
        contents: What is shown.
        folder: Where to; what has the same name there is replaced.
        figures: Whether charts are written as PNG and SVG as well.

    Raises:
        UserError: The library that draws is not installed, or the folder cannot be written.
    """
    drawing = drawing_library()
    made: dict[str, bytes] = {}
    for table in contents.tables:
        for suffix, render in FORMATS.items():
            made[f"tables/{table.name}.{suffix}"] = render(table).encode("utf-8", "replace")
    for name, spec in contents.figures() if figures else ():
        svg = drawing.vegalite_to_svg(spec, config=LIGHT)
        made[f"figures/{name}.svg"] = svg.encode()
        made[f"figures/{name}.png"] = drawing.svg_to_png(svg, scale=SCALE)
    # Lone surrogates cannot be encoded.
    made[PAGE] = page(contents, page_library(drawing)).encode("utf-8", "replace")
    _write(folder, made)
    return folder / PAGE


def _write(folder: Path, made: Mapping[str, bytes]) -> None:
    """Each file aside first, so that a page that is read is never half written."""
    try:
        for name, content in made.items():
            path = folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            aside = path.with_name(f"{path.name}.part")
            aside.write_bytes(content)
            aside.replace(path)
    except OSError as error:
        raise UserError(f"--output={folder}: cannot be written ({error})") from error
