"""Kinds of attention for an update on a GPU: rows, trees under a mask, trees under flex attention.

Each reads the same groups: forward and backward pass over all their samples in bfloat16 autocast,
with random weights in the shape of Qwen2.5-0.5B. Passes that compile something are not counted.
"""

import argparse
import json
import statistics
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter
from typing import Any

import torch
from transformers import Qwen2Config, Qwen2ForCausalLM

from p2o.policy.causal import CausalPolicy
from p2o.policy.packing import Packed, Packer
from p2o.sample import Sample

REPETITIONS = 3
PASS_TOKENS = 16_384


@dataclass(frozen=True)
class Groups:
    """What is read: groups of responses of equal length."""

    prompts: int
    group_size: int
    prompt_tokens: int
    response_tokens: int

    def samples(self, vocabulary: int) -> list[Sample]:
        """Random tokens."""
        generator = torch.Generator().manual_seed(0)

        def tokens(length: int) -> list[int]:
            return torch.randint(vocabulary, (length,), generator=generator).tolist()

        return [
            Sample.of(prompt, tokens(self.response_tokens))
            for prompt in [tokens(self.prompt_tokens) for _ in range(self.prompts)]
            for _ in range(self.group_size)
        ]


WORKS = {
    "short prompt, long responses": Groups(4, 8, 128, 1024),
    "long prompt, short responses": Groups(8, 8, 600, 128),
    "long prompt, long responses": Groups(4, 8, 1024, 1024),
    "few tokens": Groups(4, 6, 60, 6),
}


def main() -> int:
    """Command line."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.attention", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="a tiny model: does it run?")
    parser.add_argument("--output", type=Path, default=Path("runs/bench/attention.json"))
    arguments = parser.parse_args()
    device = "cuda" if torch.cuda.is_available() else "cpu"
    model = _model(arguments.quick).to(device)
    works = {"quick": Groups(2, 3, 20, 9)} if arguments.quick else WORKS
    ways: dict[str, tuple[str, Callable[[CausalPolicy], Packer]]] = {
        "rows": ("sdpa", lambda _: Packer(pass_tokens=PASS_TOKENS)),
        "trees, sdpa": ("sdpa", lambda policy: policy.packer(PASS_TOKENS)),
    }
    if device == "cuda":
        # It has no backward pass on a CPU.
        ways["trees, flex_attention"] = (
            "flex_attention",
            lambda policy: policy.packer(PASS_TOKENS),
        )
    results = []
    print("| | | tokens | passes | seconds | peak, GiB | first, s |\n|---|---|--:|--:|--:|--:|--:|")
    for name, groups in works.items():
        samples = groups.samples(model.config.vocab_size)
        for way, (kind, packer) in ways.items():
            model.set_attn_implementation(kind)
            policy = CausalPolicy(model, 1.0).train()
            passes = [packed for packed, _ in packer(policy).pack(samples)]
            found = {"work": name, "way": way, **_measure(policy, passes, device)}
            results.append(found)
            cells = (found["tokens"], found["passes"], f"{found['seconds']:.3f}")
            memory = "" if found["peak"] is None else f"{found['peak'] / 2**30:.1f}"
            cells = (name, way, *cells, memory, f"{found['first']:.1f}")
            print("| " + " | ".join(map(str, cells)) + " |", flush=True)
    arguments.output.parent.mkdir(parents=True, exist_ok=True)
    machine = torch.cuda.get_device_name() if device == "cuda" else device
    content = {"machine": machine, "torch": torch.__version__, "results": results}
    arguments.output.write_text(json.dumps(content, indent=1) + "\n")
    return 0


def _model(quick: bool) -> Any:
    torch.manual_seed(0)
    width, inner, layers = (64, 96, 2) if quick else (896, 4864, 24)
    config = Qwen2Config(
        hidden_size=width,
        intermediate_size=inner,
        num_hidden_layers=layers,
        vocab_size=1000 if quick else 151_936,
        num_attention_heads=4 if quick else 14,
        num_key_value_heads=2,
        tie_word_embeddings=True,
    )
    return Qwen2ForCausalLM(config)


def _measure(policy: CausalPolicy, passes: list[Packed], device: str) -> dict[str, Any]:
    """Seconds of forward and backward pass over all, and the most memory that they held."""
    taken = []
    for repetition in range(1 + REPETITIONS):
        policy.zero_grad(set_to_none=True)
        if device == "cuda":
            torch.cuda.synchronize()
            if repetition == 1:
                torch.cuda.reset_peak_memory_stats()
        start = perf_counter()
        for packed in passes:
            with torch.autocast(device, torch.bfloat16):
                log_probs, _ = policy(packed.to(device))
            log_probs.mean().backward()
        if device == "cuda":
            torch.cuda.synchronize()
        taken.append(perf_counter() - start)
    return {
        "seconds": statistics.median(taken[1:]),
        "first": taken[0],
        "tokens": sum(packed.tokens for packed in passes),
        "passes": len(passes),
        "peak": torch.cuda.max_memory_allocated() if device == "cuda" else None,
    }


if __name__ == "__main__":
    sys.exit(main())
