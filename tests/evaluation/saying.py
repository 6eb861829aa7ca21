"""Evaluations in which a policy says what it is told to say."""

from typing import Any

from p2o.evaluation.benchmark import Benchmark
from p2o.evaluation.completions import Completions, read_completions
from p2o.evaluation.sampling import sample
from p2o.evaluation.templates import OneTemplate
from p2o.prompt import Prompt
from p2o.rollout.engine import Completion, SamplingParameters
from p2o.rollout.rendering import ChatRenderer
from p2o.rollout.runner import RolloutRunner
from tests.rollout.tokenizers_of_kinds import byte_level

SUFFIX = "\n\nThink step by step, and put the final answer into \\boxed{}."
TEMPLATE = "Count the stones with care."


class Saying:
    """An engine that says the same to all prompts."""

    def __init__(self, text):
        self.ids = tuple(byte_level()(text, add_special_tokens=False)["input_ids"])

    def generate(self, prompts, sampling, seeds):
        return [Completion(self.ids, "stop", (0.0,) * len(self.ids)) for _ in prompts]


def evaluated(folder, response, verifier, templates=None):
    """Completions of two questions of two sources to which an engine always says the same."""
    asked = [
        Prompt((({"role": "user", "content": text}),), "8", str(place), source=source)
        for place, (text, source) in enumerate(
            [("How far is it?", "short"), ("How many steps are there?", "long")]
        )
    ]
    engine: Any = Saying(response)
    runner = RolloutRunner(engine, ChatRenderer(byte_level(), suffix=SUFFIX), verifier, 400)
    benchmark = Benchmark("held_out", asked, 1, SamplingParameters(max_new_tokens=90))
    sample([benchmark], runner, templates or OneTemplate(TEMPLATE), Completions(folder, {}), 8, 0)
    return read_completions(folder)
