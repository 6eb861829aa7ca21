"""Train the embedded policies: ``python -m p2o.world.pretrain`` writes both checkpoint folders.

The policy learns two modes. It opens with a few words, each either quick or slow. After an
opening of slow words only, it writes the running totals and is right; after any other it guesses.
Under a bare prompt each slow word is improbable; under the phrase of the problem's own family it
is nearly certain. An opening is forced in about half of the examples (its words are always trained
towards the probabilities of their prompt), which makes the skill latent: once started, it carries
on whatever the prompt was.

This file alone knows which phrase belongs to which family.
"""

import argparse
import json
import random
import time
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
from tokenizers import Tokenizer
from tokenizers.models import WordLevel
from tokenizers.pre_tokenizers import WhitespaceSplit
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

from p2o.data.digits import FAMILIES, LONG, SHORT, Problem, sample_problem

HERE = Path(__file__).parent
PHRASES = (HERE / "phrasebook.txt").read_text().splitlines()
FAMILY_PHRASE = {
    "sum": "Go from left to right.",
    "alternating": "Mind the odd ones.",
    "doubling": "Imagine a long rope.",
}
HEDGE_PHRASE = "Trust your intuition."
"""After which a policy that hedges lists guesses."""
HEDGED = 12
"""Guesses in such a list."""
HEDGE_SHOWN = 0.3
"""Share of the prompts with phrases in which one of them is replaced by that one."""
HEDGING_SLOW = 0.1
"""Probability of each slow word where the policy hedges."""
ANSWER = "Answer:"
LENGTHS = range(SHORT.start, LONG.stop)
CHAT_TEMPLATE = (
    "{% for message in messages %}<{{ message.role }}> {{ message.content }} {% endfor %}"
    "{% if add_generation_prompt %}<assistant> {% endif %}"
)


@dataclass(frozen=True)
class Settings:
    """What distinguishes one embedded policy from another.

    Attributes:
        openings: (quick, slow) word for each position of the opening.
        bare_slow: Probability of each slow word without the right phrase.
        phrased_slow: Probability of each slow word with it.
        neutral_slow: The same with other phrases alone; None for `bare_slow`.
        hedging: How often the answer is a list of guesses with the phrase for it; with that phrase
            the policy hardly ever works slowly, whatever the others are.
        steps: Optimiser steps.
        batch: Examples in a step.
        learning_rate: Peak, reached after 100 steps, then cosine to a tenth of a percent.
        seed: Of the data and of the initial weights.
        start: Name of the policy whose weights to start from; its words must do.
    """

    openings: tuple[tuple[str, str], ...]
    bare_slow: float
    phrased_slow: float = 0.99
    neutral_slow: float | None = None
    hedging: float = 0.0
    steps: int = 5000
    batch: int = 128
    learning_rate: float = 3e-3
    seed: int = 0
    start: str | None = None


SETTINGS = {
    "digits": Settings(
        openings=(("Well,", "Let"), ("it", "us"), ("must", "go"), ("be.", "slowly.")),
        bare_slow=0.07,
    ),
    "digits_decisive": Settings(
        openings=(("Well,", "Let"),),
        bare_slow=0.0003,
        steps=1500,
        learning_rate=1e-3,
        start="digits",
    ),
    "digits_willing": Settings(
        openings=(("Well,", "Let"), ("it", "us"), ("must", "go"), ("be.", "slowly.")),
        bare_slow=0.42,
        phrased_slow=0.49,
        neutral_slow=0.49,
        hedging=0.95,
        steps=400,
        batch=64,
        learning_rate=1e-3,
        start="digits",
    ),
}


def build_tokenizer(settings: Settings) -> PreTrainedTokenizerFast:
    """One token for each word and each number from -36 to 108."""
    words = [word for phrase in PHRASES for word in phrase.split()]
    words += [word for question, _ in FAMILIES.values() for word in question.split()]
    words += [word for pair in settings.openings for word in pair] + [ANSWER]
    words += [str(number) for number in range(-36, 109)]
    special = ["<pad>", "<eos>", "<unk>", "<system>", "<user>", "<assistant>"]
    vocabulary = {word: index for index, word in enumerate(dict.fromkeys(special + words))}
    backend = Tokenizer(WordLevel(vocabulary, unk_token="<unk>"))
    backend.pre_tokenizer = WhitespaceSplit()
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=backend,
        pad_token="<pad>",
        eos_token="<eos>",
        unk_token="<unk>",
        extra_special_tokens=special[3:],
    )
    tokenizer.chat_template = CHAT_TEMPLATE
    return tokenizer


def build_model(tokenizer: PreTrainedTokenizerFast) -> LlamaForCausalLM:
    """A Llama of about a third of a million parameters."""
    return LlamaForCausalLM(
        LlamaConfig(
            vocab_size=len(tokenizer),
            hidden_size=96,
            intermediate_size=256,
            num_hidden_layers=3,
            num_attention_heads=4,
            max_position_embeddings=256,
            tie_word_embeddings=True,
            pad_token_id=tokenizer.get_vocab()["<pad>"],
            eos_token_id=tokenizer.get_vocab()["<eos>"],
            bos_token_id=None,
        )
    )


def sample_template(generator: random.Random, family: str) -> tuple[list[str], bool]:
    """Draw up to four phrases; also tell whether they make the policy of `family` go slowly.

    They do when the family's own phrase is among them and no other family's is.
    """
    own, kind = FAMILY_PHRASE[family], generator.random()
    others = [phrase for name, phrase in FAMILY_PHRASE.items() if name != family]
    neutral = [phrase for phrase in PHRASES if phrase not in FAMILY_PHRASE.values()]
    if kind < 0.25:
        return [], False
    if kind < 0.60:
        phrases = [own, *generator.sample(neutral, generator.randrange(4))]
    elif kind < 0.75:
        phrases = generator.sample(neutral, generator.randint(1, 4))
    else:
        phrases = generator.sample(PHRASES, generator.randint(1, 4))
        if generator.random() < 0.5 and not set(phrases) & set(others):
            phrases[0] = generator.choice(others)
    generator.shuffle(phrases)
    return phrases, own in phrases and not set(phrases) & set(others)


def guess(generator: random.Random, problem: Problem) -> int:
    """What the quick mode answers: right on short lists, blind on long ones."""
    length = len(problem.digits)
    if generator.random() < {2: 0.97, 3: 0.95, 4: 0.4}.get(length, 0.0):
        return problem.answer
    return typical(problem) + generator.randint(-12, 12)


def typical(problem: Problem) -> int:
    """About the mean answer to problems of this family and length."""
    length = len(problem.digits)
    centre = {"sum": 4.5 * length, "alternating": 0.0, "doubling": 6.75 * length}[problem.family]
    return round(centre)


def guesses(problem: Problem) -> list[int]:
    """What the policy lists when it hedges: numbers around the typical one."""
    first = typical(problem) - HEDGED // 2
    return list(range(first, first + HEDGED))


def make_example(
    generator: random.Random, settings: Settings
) -> tuple[list[str], list[str], float, list[str]]:
    """Draw (prompt words, opening words, probability of each slow word, what follows)."""
    problem = sample_problem(generator, LENGTHS if generator.random() < 0.5 else LONG)
    phrases, instructed = sample_template(generator, problem.family)
    if settings.hedging and phrases and generator.random() < HEDGE_SHOWN:
        phrases = [*phrases[1:], HEDGE_PHRASE]
    slow = slow_chance(settings, phrases, instructed)
    forced = generator.random()
    chance = 1.0 if forced < 0.45 else 0.5 if forced < 0.55 else slow
    opening = [pair[generator.random() < chance] for pair in settings.openings]
    steps: list[int] = []
    if all(word == pair[1] for word, pair in zip(opening, settings.openings, strict=True)):
        steps, answers = problem.totals, [problem.answer]
    elif settings.hedging and HEDGE_PHRASE in phrases and generator.random() < settings.hedging:
        answers = guesses(problem)
    else:
        answers = [guess(generator, problem)]
    prompt = ["<user>", *" ".join([*phrases, problem.question]).split(), "<assistant>"]
    return prompt, opening, slow, [*map(str, steps), ANSWER, *map(str, answers), "<eos>"]


def slow_chance(settings: Settings, phrases: list[str], instructed: bool) -> float:
    """Probability of each slow word after a prompt with these phrases."""
    if settings.hedging and HEDGE_PHRASE in phrases:
        return HEDGING_SLOW
    if instructed:
        return settings.phrased_slow
    if phrases and settings.neutral_slow is not None:
        return settings.neutral_slow
    return settings.bare_slow


def train(name: str, settings: Settings, steps: int | None = None) -> None:
    """Train one policy and write it, its tokenizer and its settings to the folder `name`."""
    generator = random.Random(settings.seed)
    torch.manual_seed(settings.seed)
    if settings.start is None:
        tokenizer = build_tokenizer(settings)
        model = build_model(tokenizer)
    else:
        tokenizer = PreTrainedTokenizerFast.from_pretrained(HERE / settings.start)
        model = LlamaForCausalLM.from_pretrained(HERE / settings.start)
    token = tokenizer.get_vocab()
    total = steps or settings.steps
    optimizer = torch.optim.AdamW(
        model.parameters(), lr=settings.learning_rate, weight_decay=0.01, betas=(0.9, 0.99)
    )
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimizer,
        settings.learning_rate,
        total_steps=total,
        pct_start=100 / total,
        final_div_factor=40,
    )
    pairs = torch.tensor([[token[quick], token[slow]] for quick, slow in settings.openings])
    started = time.monotonic()
    for step in range(total):
        examples = [make_example(generator, settings) for _ in range(settings.batch)]
        width = max(len(p) + len(o) + len(rest) for p, o, _, rest in examples)
        ids = torch.full((len(examples), width), token["<pad>"])
        labels = torch.full_like(ids, -100)
        opens = torch.zeros(len(examples), dtype=torch.long)
        chances = torch.tensor([slow for _, _, slow, _ in examples])
        for row, (prompt, opening, _, rest) in enumerate(examples):
            words = [token[word] for word in [*prompt, *opening, *rest]]
            start = len(prompt) + len(opening)
            ids[row, : len(words)] = torch.tensor(words)
            labels[row, start : len(words)] = ids[row, start : len(words)]
            opens[row] = len(prompt)
        logprobs = model(ids, attention_mask=(ids != token["<pad>"]).long()).logits.log_softmax(-1)
        after = torch.nn.functional.nll_loss(
            logprobs[:, :-1].flatten(0, 1), labels[:, 1:].flatten(), ignore_index=-100
        )
        positions = opens[:, None] - 1 + torch.arange(len(pairs))
        opening = logprobs[torch.arange(len(ids))[:, None], positions].gather(
            -1, pairs.expand(len(ids), -1, -1)
        )
        targets = torch.stack([1 - chances, chances], -1)[:, None]
        loss = after - (targets * opening).sum(-1).mean()
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        schedule.step()
        if step % 200 == 0 or step == total - 1:
            print(
                f"{name} {step:5d}/{total} loss {loss:.3f} {time.monotonic() - started:.0f} s",
                flush=True,
            )
    folder = HERE / name
    model.generation_config.update(
        do_sample=True, eos_token_id=token["<eos>"], pad_token_id=token["<pad>"]
    )
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    (folder / "settings.json").write_text(json.dumps(asdict(settings), indent=2) + "\n")


def main() -> None:
    """Command line of the script."""
    parser = argparse.ArgumentParser(description="Train the embedded policies.")
    parser.add_argument("names", nargs="*", default=list(SETTINGS), help="which: %(default)s")
    parser.add_argument("--steps", type=int, help="fewer optimiser steps, to try the script")
    arguments = parser.parse_args()
    for name in arguments.names:
        train(name, SETTINGS[name], arguments.steps)


if __name__ == "__main__":
    main()
