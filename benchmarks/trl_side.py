"""``python -m benchmarks.trl_side WORK OUTPUT``: steps of TRL's GRPOTrainer, on the clock.

The trainer is TRL's own; its methods are wrapped to tell the clock when they begin and end.
"""

import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from datasets import Dataset
from transformers import TrainerCallback
from trl.trainer.grpo_config import GRPOConfig
from trl.trainer.grpo_trainer import GRPOTrainer

from benchmarks.clock import CLOCK, GENERATION, SCORING, UPDATE, VERIFYING
from benchmarks.parts import contrast
from benchmarks.shape import shape_of
from benchmarks.work import Work
from p2o.policy.models import limit_threads, load_policy


class TimedGRPO(GRPOTrainer):
    """TRL's trainer, with its work on the clock."""

    def _send_telemetry(self) -> None:
        """TRL announces each trainer to the hub; a benchmark does not."""

    def _generate_single_turn(self, prompt_ids: Any, *more: Any, **named: Any) -> Any:
        with CLOCK.span(GENERATION):
            generated = super()._generate_single_turn(prompt_ids, *more, **named)
        CLOCK.called(list(map(len, prompt_ids)), list(map(len, generated[0])))
        return generated

    def _calculate_rewards(self, *given: Any) -> Any:
        with CLOCK.span(VERIFYING):
            return super()._calculate_rewards(*given)

    def _get_per_token_logps_and_entropies(self, *given: Any, **named: Any) -> Any:
        with CLOCK.span(UPDATE if torch.is_grad_enabled() else SCORING):
            return super()._get_per_token_logps_and_entropies(*given, **named)


class _Watch(TrainerCallback):
    def on_epoch_begin(self, *_: Any, **__: Any) -> None:
        CLOCK.open_epoch()

    def on_pre_optimizer_step(self, *_: Any, **__: Any) -> None:
        CLOCK.start(UPDATE)

    def on_optimizer_step(self, *_: Any, **__: Any) -> None:
        CLOCK.stop()

    def on_step_end(self, *_: Any, **__: Any) -> None:
        CLOCK.end_step()


def train(work: Work, folder: str) -> None:
    """Train as `work` says, each step in as many passes as it says.

    Args:
        work: What to do.
        folder: For TRL's files.
    """
    model, tokenizer = load_policy(work.model)
    limit_threads(model)
    questions = [row["question"] for row in work.questions()[: work.prompts * work.steps]]

    def reward(prompts: list[Any], **_: Any) -> list[float | None]:
        return [*contrast(prompts, work.dead)]

    trainer = TimedGRPO(
        model=model,
        reward_funcs=reward,
        args=GRPOConfig(
            output_dir=folder,
            per_device_train_batch_size=work.prompts * work.group_size // work.parts,
            gradient_accumulation_steps=work.parts,
            num_generations=work.group_size,
            max_completion_length=work.new_tokens,
            max_steps=work.steps,
            temperature=1.0,
            top_p=1.0,
            top_k=0,
            beta=0.0,
            learning_rate=1e-6,
            shuffle_dataset=False,
            gradient_checkpointing=False,
            use_cpu=True,
            bf16=False,
            report_to="none",
            save_strategy="no",
            disable_tqdm=True,
        ),
        train_dataset=Dataset.from_dict(
            {"prompt": [[{"role": "user", "content": question}] for question in questions]}
        ),
        processing_class=tokenizer,
        callbacks=[_Watch()],
    )
    trainer.accelerator.backward = _timed(trainer.accelerator.backward)
    CLOCK.facts |= {"shape": shape_of(model), "threads": torch.get_num_threads()}
    trainer.train()


def _timed(backward: Callable[..., None]) -> Callable[..., None]:
    def timed(*given: Any, **named: Any) -> None:
        with CLOCK.span(UPDATE):
            backward(*given, **named)

    return timed


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as temporary:
        train(Work.read(sys.argv[1]), temporary)
    CLOCK.write(Path(sys.argv[2]))
