"""The project of reuse.py on two ranks, each of which asks half of the questions."""

from lightning.pytorch import Trainer, seed_everything
from reuse import NAMES, Adder, TryEach
from torch.utils.data import DataLoader

import p2o_callbacks as p2o


class HalfAdder(Adder):
    """Asks its rank's share of the questions, and tells of these alone."""

    def on_fit_start(self):
        self.asked = NAMES[self.global_rank :: self.trainer.world_size]


if __name__ == "__main__":
    seed_everything(0)
    model, miner = HalfAdder(), p2o.HardSampleMiner(threshold=2)
    settings = {"accelerator": "cpu", "devices": 2, "max_epochs": 3, "logger": False}
    trainer = Trainer(callbacks=[p2o.PromptEvolution(TryEach()), miner], **settings)
    trainer.fit(model, DataLoader(range(40)))
    said, golds = model(NAMES, [""] * len(NAMES))
    right = (said.probs.argmax(-1) == golds).float().mean()
    print(f"rank {trainer.global_rank}: without a hint {right:.0%} are right")
