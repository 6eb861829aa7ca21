"""What a run leaves behind for people: tables of rollouts, hints, candidates and exchanges.

`read` opens the records of a run; `lives`, `states` and `epochs` derive tables from them. What
writes is in `p2o.records.writing` and `p2o.records.growing`, which a reader does not load.
"""

from p2o.records.epochs import epochs
from p2o.records.lives import lives, states
from p2o.records.reading import Records, read
from p2o.records.schema import TABLES

__all__ = ["TABLES", "Records", "epochs", "lives", "read", "states"]
