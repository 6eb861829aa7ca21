"""Train the embedded policies: ``python -m p2o.world.pretrain`` writes their checkpoint folders."""

import argparse
import json
import random
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

import torch
from tokenizers import Tokenizer
from tokenizers.models import WordLevel
from tokenizers.pre_tokenizers import WhitespaceSplit
from torch import Tensor
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

from p2o.data.digits import FAMILIES
from p2o.world.examples import ANSWER, HERE, PHRASES, Example, Settings, make_example

CHAT_TEMPLATE = (
    "{% for message in messages %}<{{ message.role }}> {{ message.content }} {% endfor %}"
    "{% if add_generation_prompt %}<assistant> {% endif %}"
)


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


def train(name: str, settings: Settings, steps: int | None = None) -> None:
    """Train one policy and write it, its tokenizer and its settings to the folder `name`."""
    generator = random.Random(settings.seed)
    torch.manual_seed(settings.seed)
    model, tokenizer = _start(settings)
    token = tokenizer.get_vocab()
    total = steps or settings.steps
    optimizer, schedule = _optimizer(model, settings, total)
    started = time.monotonic()
    for step in range(total):
        examples = [make_example(generator, settings) for _ in range(settings.batch)]
        loss = _loss(model, token, settings, examples)
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        schedule.step()
        if step % 200 == 0 or step == total - 1:
            seconds = time.monotonic() - started
            print(f"{name} {step:5d}/{total} loss {loss:.3f} {seconds:.0f} s", flush=True)
    folder = HERE / name
    model.generation_config.update(
        do_sample=True, eos_token_id=token["<eos>"], pad_token_id=token["<pad>"]
    )
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    (folder / "settings.json").write_text(json.dumps(asdict(settings), indent=2) + "\n")


def _start(settings: Settings) -> tuple[LlamaForCausalLM, PreTrainedTokenizerFast]:
    if settings.start is None:
        tokenizer = build_tokenizer(settings)
        return build_model(tokenizer), tokenizer
    tokenizer = PreTrainedTokenizerFast.from_pretrained(HERE / settings.start)
    return LlamaForCausalLM.from_pretrained(HERE / settings.start), tokenizer


def _optimizer(model: LlamaForCausalLM, settings: Settings, total: int) -> tuple[Any, Any]:
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
    return optimizer, schedule


def _loss(
    model: LlamaForCausalLM,
    token: Mapping[str, int],
    settings: Settings,
    examples: Sequence[Example],
) -> Tensor:
    """What follows openings is learned as it is; openings towards the chances of their words."""
    ids, labels = _rows(token, examples)
    log_probs = model(ids, attention_mask=(ids != token["<pad>"]).long()).logits.log_softmax(-1)
    after = torch.nn.functional.nll_loss(
        log_probs[:, :-1].flatten(0, 1), labels[:, 1:].flatten(), ignore_index=-100
    )
    pairs = torch.tensor([[token[quick], token[slow]] for quick, slow in settings.openings])
    opens = torch.tensor([len(example.prompt) for example in examples])
    positions = opens[:, None] - 1 + torch.arange(len(pairs))
    opening = log_probs[torch.arange(len(ids))[:, None], positions].gather(
        -1, pairs.expand(len(ids), -1, -1)
    )
    chances = torch.tensor([example.slow for example in examples])
    targets = torch.stack([1 - chances, chances], -1)[:, None]
    return after - (targets * opening).sum(-1).mean()


def _rows(token: Mapping[str, int], examples: Sequence[Example]) -> tuple[Tensor, Tensor]:
    """Token ids `[B, L]`, and labels `[B, L]`, -100 where nothing is learned as it is."""
    texts = [[*each.prompt, *each.opening, *each.rest] for each in examples]
    ids = torch.full((len(texts), max(map(len, texts))), token["<pad>"])
    labels = torch.full_like(ids, -100)
    for row, (words, each) in enumerate(zip(texts, examples, strict=True)):
        ids[row, : len(words)] = torch.tensor([token[word] for word in words])
        start = len(each.prompt) + len(each.opening)
        labels[row, start : len(words)] = ids[row, start : len(words)]
    return ids, labels


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
