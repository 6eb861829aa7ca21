"""Measure the embedded policies: ``python -m p2o.world.measure``.

Prints how often each policy works step by step and how often it is right: without a phrase, with
that of the problem's family, with another family's and with neutral ones.
"""

import argparse
import random

import torch
from rich.table import Table
from transformers import AutoModelForCausalLM, AutoTokenizer

from p2o.data.digits import LONG, SHORT, DigitProblem, distinct_problems
from p2o.rollout.engine import SamplingParameters
from p2o.rollout.hf import HFEngine
from p2o.rollout.rendering import ChatRenderer
from p2o.running.terminal import Terminal
from p2o.world.examples import ANSWER, FAMILY_PHRASE, HERE, PHRASES
from p2o.world.pretrain import SETTINGS


def templates(generator: random.Random, family: str) -> dict[str, str]:
    """A template of each kind for a problem of `family`."""
    others = [phrase for name, phrase in FAMILY_PHRASE.items() if name != family]
    neutral = [phrase for phrase in PHRASES if phrase not in FAMILY_PHRASE.values()]
    own = FAMILY_PHRASE[family]
    return {
        "bare": "",
        "own phrase": own,
        "own and two neutral": " ".join(generator.sample([own, *generator.sample(neutral, 2)], 3)),
        "another family's": generator.choice(others),
        "own and another's": " ".join(generator.sample([own, generator.choice(others)], 2)),
        "three neutral": " ".join(generator.sample(neutral, 3)),
    }


def measure(name: str, count: int, temperature: float) -> Table:
    """One policy's table."""
    settings = SETTINGS[name]
    renderer = ChatRenderer(AutoTokenizer.from_pretrained(HERE / name))
    model = AutoModelForCausalLM.from_pretrained(HERE / name)
    engine, generator = HFEngine(model), random.Random(1)
    sampling = SamplingParameters(temperature, max_new_tokens=24)
    slow_words = [slow for _, slow in settings.openings]
    vocabulary = renderer.tokenizer.get_vocab()
    slow_ids = [vocabulary[word] for word in slow_words]
    table = Table(title=f"{name}: {count} problems a cell, temperature {temperature}")
    for column in ("template", "digits", "P(all slow)", "lowest P(slow word)", "right"):
        table.add_column(column, justify="left" if column == "template" else "right")
    for lengths in (SHORT, LONG):
        stream = distinct_problems(99, lengths)
        problems = [next(stream) for _ in range(count)]
        for kind in templates(generator, "sum"):
            prompts = [
                renderer.render(
                    [{"role": "user", "content": p.question}], templates(generator, p.family)[kind]
                )
                for p in problems
            ]
            completions = engine.generate(prompts, sampling, list(range(count)))
            texts = [renderer.decode(completion.token_ids) for completion in completions]
            chances = torch.stack([_opening_chances(model, ids, slow_ids) for ids in prompts])
            table.add_row(
                kind,
                f"{lengths.start}-{lengths.stop - 1}",
                f"{chances.prod(1).mean():.3%}",
                f"{chances.mean(0).min():.4f}",
                f"{sum(map(_right, texts, problems)) / count:.1%}",
            )
        table.add_section()
    return table


def _right(text: str, problem: DigitProblem) -> bool:
    return text.rpartition(ANSWER)[2].strip() == str(problem.answer)


@torch.no_grad()
def _opening_chances(model: torch.nn.Module, prompt: list[int], slow: list[int]) -> torch.Tensor:
    logits = model(torch.tensor([prompt + slow])).logits[0]
    return logits.softmax(-1)[torch.arange(len(slow)) + len(prompt) - 1, torch.tensor(slow)]


def main() -> None:
    """Command line of the script."""
    parser = argparse.ArgumentParser(description="Measure the embedded policies.")
    parser.add_argument("names", nargs="*", default=list(SETTINGS), help="which: %(default)s")
    parser.add_argument("--count", type=int, default=300, help="problems a cell (%(default)s)")
    parser.add_argument("--temperature", type=float, default=1.0)
    arguments = parser.parse_args()
    for name in arguments.names:
        Terminal().print(measure(name, arguments.count, arguments.temperature))


if __name__ == "__main__":
    main()
