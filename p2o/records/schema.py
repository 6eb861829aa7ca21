"""Which tables the records of a run have, and which columns these have; see docs/records.md."""

from collections.abc import Mapping, Sequence

import pyarrow as pa

FOLDER = "records"
"""In the folder of a run; each table is a folder of parts there."""
VERSION = "2"
VERSION_KEY = b"p2o_records"
"""Key of a part's metadata under which the version of its tables stands."""
PART = "part-{:06d}.parquet"
PARTS = "part-*.parquet"
BEFORE_TRAINING = -1
"""Epoch of the evaluation of the untrained policy."""

Rows = Sequence[Mapping[str, object]]
"""Rows of a table; a column that a row lacks is null."""

_ROLLOUTS = {
    "phase": pa.string(),
    "epoch": pa.int32(),
    "step": pa.int32(),
    "group": pa.int32(),
    "index": pa.int16(),
    "problem": pa.string(),
    "source": pa.string(),
    "hint": pa.string(),
    "hinted": pa.bool_(),
    "response": pa.string(),
    "tokens": pa.int32(),
    "finish_reason": pa.string(),
    "reward": pa.float32(),
    "solved": pa.bool_(),
    "status": pa.string(),
    "answer": pa.string(),
    "detail": pa.string(),
    "advantage": pa.float32(),
    "engine_kl": pa.float32(),
    "kept": pa.float32(),
    "reliance": pa.float32(),
    "weight": pa.float32(),
}
_TOKENS = {
    "epoch": pa.int32(),
    "step": pa.int32(),
    "group": pa.int32(),
    "index": pa.int16(),
    "problem": pa.string(),
    "hint": pa.string(),
    "tokens": pa.list_(pa.string()),
    "log_ratios": pa.list_(pa.float32()),
}
_PROBLEMS = {
    "problem": pa.string(),
    "split": pa.string(),
    "source": pa.string(),
    "question": pa.string(),
    "gold": pa.string(),
    "row": pa.int64(),
    "meta": pa.string(),
}
_HINTS = {"hint": pa.string(), "text": pa.string(), "kind": pa.string()}
_CANDIDATES = {
    "epoch": pa.int32(),
    "step": pa.int32(),
    "iteration": pa.int32(),
    "candidate": pa.int32(),
    "hint": pa.string(),
    "parents": pa.list_(pa.int32()),
    "minibatch": pa.list_(pa.string()),
    "score_before": pa.list_(pa.float32()),
    "score_after": pa.list_(pa.float32()),
    "dev_scores": pa.list_(pa.struct({"problem": pa.string(), "score": pa.float32()})),
    "accepted": pa.bool_(),
    "reason": pa.string(),
}
_EXCHANGES = {
    "epoch": pa.int32(),
    "step": pa.int32(),
    "iteration": pa.int32(),
    "candidate": pa.int32(),
    "prompt": pa.string(),
    "answer": pa.string(),
    "cut_off": pa.bool_(),
}
_POOL = {
    "epoch": pa.int32(),
    "step": pa.int32(),
    "problem": pa.string(),
    "index": pa.int16(),
    "hint": pa.string(),
}
_HARD = {"epoch": pa.int32(), "problem": pa.string()}

TABLES = {
    name: pa.schema(columns, metadata={VERSION_KEY: VERSION.encode()})
    for name, columns in {
        "rollouts": _ROLLOUTS,
        "tokens": _TOKENS,
        "problems": _PROBLEMS,
        "hints": _HINTS,
        "candidates": _CANDIDATES,
        "exchanges": _EXCHANGES,
        "pool": _POOL,
        "hard": _HARD,
    }.items()
}
"""The schema of each table, by its name."""
NEEDED = {
    "rollouts": ("phase", "epoch", "problem"),
    "tokens": ("epoch", "problem"),
    "problems": ("problem",),
    "hints": ("hint", "text"),
    "candidates": ("epoch", "candidate"),
    "exchanges": ("prompt",),
    "pool": ("epoch", "problem"),
    "hard": ("epoch", "problem"),
}
"""Columns without which a row of a table says nothing."""
