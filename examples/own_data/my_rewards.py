"""What a response is worth."""

import re


def reward(completion: str, answer: str) -> float:
    """All of it for the right number, a tenth for a number where one was asked for."""
    found = re.search(r"Answer: (-?\d+)$", completion.strip())
    if found is None:
        return 0.0
    return 1.0 if found[1] == answer else 0.1
