"""A hint as other projects take it: plain text, a gepa candidate, instructions of DSPy."""

import copy
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from p2o.errors import UserError
from p2o.hints.insertion import insert_template

Row = Mapping[str, Any]
TURN_MARK = re.compile(
    r"<\|[^|<>\n]{1,40}\|>|<｜[^｜<>\n]{1,40}｜>|</?(?:start|end)_of_turn>"  # noqa: RUF001
    r"|\[/?INST\]|<</?SYS>>|</?s>"
)
"""What chat templates begin and end turns with. p2o itself renders it as text."""


def without_turn_marks(text: str) -> str:
    """The same text, for projects that may read a mark in it as one.

    Raises:
        UserError: It holds a mark.
    """
    found = TURN_MARK.search(text)
    if found:
        raise UserError(
            f"the hint holds {found[0]!r}, with which a chat template begins or ends a turn; "
            "choose another one with --hint"
        )
    return text


def as_gepa(text: str, component: str) -> str:
    """A ``seed_candidate`` of ``gepa.optimize``, as JSON.

    Args:
        text: The hint.
        component: The name of the text component that it stands for.
    """
    return json.dumps({component: text}, indent=2, ensure_ascii=False) + "\n"


def into_dspy(text: str, program: Any, predictor: str | None) -> str:
    """A saved DSPy program with the hint as the instructions of its predictors, as JSON.

    Args:
        text: The hint.
        program: What ``program.save("program.json")`` wrote.
        predictor: Name of the one that is to have it; None for all.

    Raises:
        UserError: There is no such predictor.
    """
    changed = copy.deepcopy(program)
    found = dict(_predictors(changed))
    if not found:
        raise UserError(
            "no predictor with instructions in it; give what program.save('program.json') wrote"
        )
    if predictor is not None and predictor not in found:
        raise UserError(f"--predictor={predictor}: there are {', '.join(sorted(found))}")
    for name, signature in found.items():
        if predictor in (None, name):
            signature["instructions"] = text
    return json.dumps(changed, indent=2, ensure_ascii=False) + "\n"


def _predictors(node: Any, name: str = "self") -> Iterator[tuple[str, dict[str, Any]]]:
    """Signatures of a program's state, by the name of their predictor."""
    if not isinstance(node, dict):
        return
    signature = node.get("signature")
    if isinstance(signature, dict) and "instructions" in signature:
        yield name, signature
    for key, child in node.items():
        if key not in ("signature", "metadata"):
            yield from _predictors(child, key if name == "self" else f"{name}.{key}")


def put_before(text: str, rows: Sequence[Row], column: str) -> list[dict[str, Any]]:
    """Rows with the hint in front of a column's text, or of the last message of a conversation.

    Args:
        text: The hint.
        rows: Of a file.
        column: With a text, or a list of messages with ``role`` and ``content``.

    Raises:
        UserError: A row does not have it.
    """
    return [{**row, column: _with_hint(text, row, column, n)} for n, row in enumerate(rows)]


def _with_hint(text: str, row: Row, column: str, number: int) -> Any:
    value = row.get(column)
    if isinstance(value, str):
        return insert_template(value, text)
    if isinstance(value, list) and value and isinstance(value[-1], dict):
        content = value[-1].get("content")
        if isinstance(content, str):
            return [*value[:-1], {**value[-1], "content": insert_template(content, text)}]
    there = ", ".join(map(str, row))
    raise UserError(
        f"row {number}: no text and no conversation in column {column!r}; --column names one of "
        f"{there}"
    )
