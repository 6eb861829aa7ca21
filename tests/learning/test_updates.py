"""A checkpoint ends with the last whole update, whatever broke off."""

import pytest

from p2o.learning.updates import _end_with_whole_update


def counts(ready: int, started: int, processed: int, completed: int) -> dict[str, int]:
    return {"ready": ready, "started": started, "processed": processed, "completed": completed}


@pytest.mark.parametrize(
    ("saved", "size", "expected"),
    [
        # After an update; the first steps of the epoch had no gradient, and were not started.
        (counts(8, 2, 8, 7), 2, counts(8, 8, 8, 7)),
        (counts(8, 8, 8, 7), 2, counts(8, 8, 8, 7)),
        # Between two updates.
        (counts(8, 8, 8, 8), 2, counts(8, 8, 8, 8)),
        # Within an update, before and after its step.
        (counts(7, 7, 6, 6), 2, counts(6, 6, 6, 6)),
        (counts(7, 7, 7, 6), 2, counts(6, 6, 6, 6)),
        (counts(8, 3, 7, 7), 2, counts(6, 6, 6, 6)),
        (counts(8, 8, 7, 7), 1, counts(7, 7, 7, 7)),
    ],
)
def test_progress_ends_with_the_last_whole_update(saved, size, expected):
    total = {name: 20 + value for name, value in saved.items()}
    total["started"] -= 5
    progress = {"current": dict(saved), "total": total, "is_last_batch": False}
    _end_with_whole_update(progress, size)
    assert progress["current"] == expected
    assert progress["total"] == {name: 20 + value for name, value in expected.items()}
