"""Learning-rate schedules in the number of updates that the trainer announces."""

from torch.optim import Optimizer
from torch.optim.lr_scheduler import LambdaLR
from transformers import get_cosine_schedule_with_warmup, get_linear_schedule_with_warmup


def warmup_then_constant(
    optimizer: Optimizer, num_training_steps: int, warmup: float = 0.05
) -> LambdaLR:
    """Rise linearly over a share of the updates, then stay.

    Args:
        optimizer: Whose learning rate to set.
        num_training_steps: Updates in all.
        warmup: Share of them to warm up in; 5 % in the paper.
    """
    steps = max(1, round(warmup * num_training_steps))
    return LambdaLR(optimizer, lambda step: min(1.0, (step + 1) / steps))


def linear(optimizer: Optimizer, num_training_steps: int, warmup: float = 0.05) -> LambdaLR:
    """Rise linearly over a share of the updates, then fall linearly to 0.

    As in transformers, a warm-up starts at 0: its first update changes nothing.

    Args:
        optimizer: Whose learning rate to set.
        num_training_steps: Updates in all.
        warmup: Share of them to warm up in.
    """
    steps = round(warmup * num_training_steps)
    return get_linear_schedule_with_warmup(optimizer, steps, num_training_steps)


def cosine(optimizer: Optimizer, num_training_steps: int, warmup: float = 0.05) -> LambdaLR:
    """Rise linearly over a share of the updates, then fall to 0 along half a cosine.

    As in transformers, a warm-up starts at 0: its first update changes nothing.

    Args:
        optimizer: Whose learning rate to set.
        num_training_steps: Updates in all.
        warmup: Share of them to warm up in.
    """
    steps = round(warmup * num_training_steps)
    return get_cosine_schedule_with_warmup(optimizer, steps, num_training_steps)
