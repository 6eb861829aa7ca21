"""Labels of hints, by which records and pools know them; see `p2o_callbacks.Hint.label`.

Who reads a run need not load the callbacks, and torch with them.
"""

import json
from collections.abc import Mapping
from typing import Any

MORE = ("turns", "prefix", "columns", "learned")
"""What a hint may have beside its text."""


def label_of(content: Mapping[str, Any]) -> str:
    """The label of the hint that `p2o_callbacks.Hint.content` wrote.

    Args:
        content: With other entries beside, as in the file of a pool.
    """
    text = str(content.get("text", ""))
    more = {key: content[key] for key in MORE if content.get(key)}
    if not (text.strip() or more.get("turns") or more.get("prefix", "").strip()):
        return ""
    # That a beginning is learned matters where there is one.
    if not more.keys() - {"learned"}:
        return text
    return json.dumps({"text": text, **more}, ensure_ascii=False)


def in_words(label: str) -> str:
    """What a label says to a reader.

    Example::

        >>> print(in_words('{"text": "As here:", "turns": [["2 + 2?", "4"]], "prefix": "So"}'))
        As here:
        Q: 2 + 2?
        A: 4
        The answer begins: So
    """
    try:
        content = json.loads(label)
    except ValueError:
        return label
    if not isinstance(content, dict) or "text" not in content:
        return label
    turns = (f"Q: {question}\nA: {answer}" for question, answer in content.get("turns", ()))
    begins = (f"The answer begins: {prefix}" for prefix in [content.get("prefix")] if prefix)
    return "\n".join(part for part in (content["text"], *turns, *begins) if part)


def how_asked(config: Mapping[str, Any], word: str = "hint") -> str:
    """How a run asks held-out problems, as its configuration says.

    >>> how_asked({"held_out_hint": "best"}), how_asked({}, "template")
    ('with the best hint in use', 'without any template')
    """
    kept = config.get("held_out_hint") == "best"
    return f"with the best {word} in use" if kept else f"without any {word}"
