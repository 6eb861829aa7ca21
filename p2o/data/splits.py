"""Which split of a data set the name of a file says it is of."""

import re
from collections.abc import Sequence
from pathlib import Path

from p2o.errors import UserError

SPLITS = {
    **{word: "train" for word in ("train", "training")},
    "test": "test",
    **{word: "validation" for word in ("validation", "valid", "val", "dev")},
}
"""What each word stands for."""


def splits_named(name: str) -> set[str]:
    """The splits that a name says.

    >>> splits_named("main/train-00000-of-00001.parquet"), splits_named("latest.json")
    ({'train'}, set())
    """
    return {SPLITS[word] for word in re.findall("[a-z]+", name.lower()) if word in SPLITS}


def refuse_other_splits(folder: Path, files: Sequence[Path], split: str) -> None:
    """Refuse a folder of which a part is of another split: all of it would be read as one.

    Args:
        folder: As a user gave it.
        files: In it.
        split: The one that is meant, several, such as ``train+test``, or ``all``.

    Raises:
        UserError: Names the files.
    """
    if split == "all":
        return
    said = {file: splits_named(str(file.relative_to(folder))) for file in files}
    wanted = splits_named(split)
    others = [file for file in files if said[file] and not said[file] & wanted]
    if not others:
        return
    shown = ", ".join(str(file.relative_to(folder)) for file in others[:3])
    more = f" and {len(others) - 3} more" if len(others) > 3 else ""
    found = set.union(*(said[file] for file in others))
    if len(others) == len(files) and len(found) == 1:
        way_out = f"give split={found.pop()}"
    else:
        way_out = "give a file, or a folder of one split alone"
    raise UserError(
        f"path={folder}: by their names these are not of split={split}: {shown}{more}; {way_out}"
    )
