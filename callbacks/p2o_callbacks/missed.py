"""What Lightning leaves out when it goes on from a checkpoint of an epoch's last batch."""

from lightning.pytorch import Trainer


def starts_untold(trainer: Trainer) -> bool:
    """Whether training goes on with an epoch of whose start no hook tells; for ``on_train_start``.

    Lightning counts the epoch of such a checkpoint as ended, without ``on_train_epoch_end``, and
    takes the next one for the one that was broken off, without ``on_train_epoch_start``.
    """
    loop = trainer.fit_loop
    within = loop.restarted_mid_epoch and loop.epoch_loop.restarted_on_train_batch_end
    return within and trainer.is_last_batch
