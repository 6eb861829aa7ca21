"""Where an update ends, among the batches that it is made of."""

from lightning.pytorch import Trainer


def has_updated(trainer: Trainer) -> bool:
    """Whether the batch that is ready ends an update; what is left of an epoch makes one, too.

    An update without any gradient is not made, so that the trainer's count of steps does not tell.
    """
    progress = trainer.fit_loop.epoch_loop.batch_progress
    ready = progress.current.ready
    last = progress.is_last_batch or ready == trainer.num_training_batches
    return last or ready % trainer.accumulate_grad_batches == 0
