"""Reflection backends: what writes new templates during evolution.

How to choose:

* `Phrasebook`: no language model, no cost. For the embedded world, tests, and a fixed list of
  phrases to search.
* `SelfReflection`: the initial policy, as in the paper. Takes an instruction-tuned policy and room
  for a second copy of its weights; needs nothing from outside.
* `PolicyReflection`: the current policy. No second copy, but templates grow alike late in training.
* `PolicyHintWriter`: the current policy, told the answer, writes a hint for one problem; for
  `evolution=self_hint`.
* `TeacherReflection`: a stronger model behind an OpenAI-compatible endpoint. The best templates,
  for policies too small to write their own; costs calls and needs a network.

* `ReplayedReflection`: the answers of an earlier run with a language model. The same search again
  without a network.

Any other object with the methods of `Reflection` does as well.
"""

from p2o.reflection.base import Reflection, ReflectionRequest
from p2o.reflection.hint_writer import PolicyHintWriter
from p2o.reflection.language_model import PolicyReflection, SelfReflection
from p2o.reflection.phrasebook import Phrasebook
from p2o.reflection.replay import ReplayedReflection
from p2o.reflection.teacher import TeacherReflection

__all__ = [
    "Phrasebook",
    "PolicyHintWriter",
    "PolicyReflection",
    "Reflection",
    "ReflectionRequest",
    "ReplayedReflection",
    "SelfReflection",
    "TeacherReflection",
]
