"""Whether runs were asked the same held-out problems."""

from p2o.report.runs import Run
from p2o.report.story import RunStory

OTHER_PROBLEMS = "Their held-out problems are not the same, which may be the whole difference."
NOT_HELD_OUT = ("train", "root")
"""Settings of a source that do not choose held-out problems."""


def same_problems(one: RunStory, other: RunStory) -> bool:
    """Whether two runs measured accuracy on the same problems, as far as that is known.

    By the ids on record; without records, by the number of problems and where they come from.
    """
    ids = one.held_out_problems, other.held_out_problems
    return ids[0] == ids[1] if all(ids) else _told(one.run) == _told(other.run)


def _told(run: Run) -> tuple[object, object]:
    source = run.setting("data.source")
    if isinstance(source, dict):
        source = {name: value for name, value in source.items() if name not in NOT_HELD_OUT}
    return run.summary.get("held_out"), source
