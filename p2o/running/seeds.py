"""Seeds made of a run's seed and of where in the run they are used: nothing to save or restore."""

import hashlib


def derive_seed(*parts: int | str) -> int:
    """A 63-bit seed that depends on all parts and their order."""
    digest = hashlib.sha256("/".join(map(str, parts)).encode()).digest()
    return int.from_bytes(digest[:8], "big") >> 1
