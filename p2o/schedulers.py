"""Learning-rate schedules in the number of updates that the trainer announces."""

from torch.optim import Optimizer
from torch.optim.lr_scheduler import LambdaLR


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
