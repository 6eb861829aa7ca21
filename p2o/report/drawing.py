"""The library that draws, and the JavaScript that it brings."""

import os
from contextlib import suppress
from pathlib import Path
from types import ModuleType

from p2o.errors import UserError


def drawing_library() -> ModuleType:
    """``vl_convert``, which draws Vega-Lite without a browser.

    Raises:
        UserError: It is not installed.
    """
    try:
        import vl_convert
    except ImportError as error:
        raise UserError(
            "p2o-report draws with vl-convert-python; pip install vl-convert-python"
        ) from error
    return vl_convert


def page_library(drawing: ModuleType) -> str:
    """JavaScript that defines ``vegaEmbed``.

    Making it takes over a second, so it is kept for each version in the user's cache folder.

    Args:
        drawing: See `drawing_library`.
    """
    folder = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "p2o"
    path = folder / f"vega-{drawing.__version__}.js"
    with suppress(OSError, UnicodeDecodeError):
        return path.read_text(encoding="utf-8")
    made: str = drawing.javascript_bundle()
    # A folder that cannot be written costs that second each time.
    with suppress(OSError):
        folder.mkdir(parents=True, exist_ok=True)
        aside = folder / f"{path.name}.{os.getpid()}.part"
        aside.write_text(made, encoding="utf-8")
        aside.replace(path)
    return made
