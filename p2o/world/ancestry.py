"""Whether a policy is one of the embedded world, or was trained from one."""

import json
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any

from p2o.policy.models import EMBEDDED

NAMES = ("digits", "digits_decisive", "digits_willing")
TOKENIZER = "tokenizer.json"


def is_of_the_world(path: str) -> bool:
    """Whether a ``model.path`` names an embedded policy, or a folder with the words of one.

    Such a folder is what a run on the embedded world leaves behind.
    """
    if path.startswith(EMBEDDED):
        return True
    file = Path(path) / TOKENIZER
    if not file.is_file():
        return False
    try:
        return _words(json.loads(file.read_text(encoding="utf-8"))) in _known()
    # Whoever loads it says what is wrong with it.
    except (OSError, ValueError):
        return False


@cache
def _known() -> tuple[Any, ...]:
    folders = (Path(str(files("p2o.world"))) / name for name in NAMES)
    return tuple(_words(json.loads((folder / TOKENIZER).read_text())) for folder in folders)


def _words(tokenizer: Any) -> Any:
    model = tokenizer.get("model") if isinstance(tokenizer, dict) else None
    return model.get("vocab") if isinstance(model, dict) else None
