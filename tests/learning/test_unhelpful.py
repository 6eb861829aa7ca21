"""Advice where hints stand around problems and help nowhere."""

from dataclasses import replace

import pytest

from p2o.learning.unhelpful import UnhelpfulHints
from p2o.prompt import Context, Prompt
from p2o.rollout.engine import Completion
from p2o.rollout.runner import Rollout
from p2o.verifiers.base import Score, Status

PROMPT = Prompt.create([{"role": "user", "content": "2 + 2"}], "4")
HINTED = Rollout(
    PROMPT,
    "Think.",
    (1, 2),
    (9, 1, 2),
    Context.TEMPLATED,
    Completion((5,), "stop", (0.0,)),
    "4",
    Score(0.0, Status.OK),
)
RIGHT = replace(HINTED, score=Score(1.0, Status.OK))
BARE = replace(HINTED, hint="", templated_ids=(1, 2))
UNJUDGED = replace(HINTED, score=Score(0.0, Status.ERROR))


@pytest.mark.parametrize(
    ("groups", "said"),
    [
        ([[HINTED] * 6] * 10, "0 of this epoch's 60 rollouts with a hint were right"),
        ([[HINTED] * 59 + [RIGHT]], "1 of this epoch's 60 rollouts"),
        ([[HINTED] * 57 + [RIGHT] * 3], None),
        ([[HINTED] * 19], None),
        ([[BARE] * 60], None),
        ([[UNJUDGED] * 60], None),
        ([], None),
    ],
)
def test_an_epoch_in_which_hints_hardly_help_has_advice(groups, said):
    watch = UnhelpfulHints()
    for group in groups:
        watch.see([group])
    advice = watch.advice()
    assert (advice is None) == (said is None)
    assert said is None or said in (advice or "")
    # What was seen is forgotten.
    assert watch.advice() is None
