"""Reward-weighted fine-tuning of a tiny model that learns to add, because a hint unlocks it."""

import torch
from lightning.pytorch import LightningModule, Trainer, seed_everything
from torch.nn import Embedding
from torch.nn.functional import one_hot
from torch.utils.data import DataLoader

import p2o_callbacks as p2o

NAMES = [f"{a} + {b}" for a in range(1, 6) for b in range(1, 6)]
GOLDS = torch.tensor([a + b for a in range(1, 6) for b in range(1, 6)])
HINTS = tuple(map(p2o.Template, ["Be brief.", "Answer like a poet.", "Count on your fingers."]))


class Adder(LightningModule):
    """Says 0 to everything, though it can add: told to count, it does."""

    asked, group_size = NAMES, 4

    def __init__(self):
        super().__init__()
        self.habit = Embedding.from_pretrained(9.0 * one_hot(0 * GOLDS, 11), freeze=False)
        self.skill = Embedding.from_pretrained(18.0 * one_hot(GOLDS, 11))
        self.pool, self.observers = p2o.PromptPool(), []

    def forward(self, names, hints):
        asked = torch.tensor([NAMES.index(name) for name in names])
        counting = torch.tensor([[float("Count" in hint)] for hint in hints])
        logits = self.habit(asked) + counting * self.skill(asked)
        return torch.distributions.Categorical(logits=logits), GOLDS[asked]

    def training_step(self, batch, index):
        names = self.asked * self.group_size
        hints = [self.pool.text_for(name, i // len(self.asked)) for i, name in enumerate(names)]
        said, golds = self(names, hints)
        answers = said.sample()
        right = answers == golds
        rows = zip(self.asked, right.view(self.group_size, -1).T.tolist(), strict=True)
        groups = [p2o.GroupOutcome(name, tuple(map(float, row)), tuple(row)) for name, row in rows]
        for observe in self.observers:
            observe(groups)
        # What a hint unlocked is learned as the answer to the question without it.
        return -(right * self(names, [""] * len(names))[0].log_prob(answers)).mean()

    def configure_optimizers(self):
        return torch.optim.Adam(self.parameters(), lr=0.5)

    def add_group_observer(self, observer):
        self.observers.append(observer)

    def publish_pool(self, pool):
        self.pool = pool

    def evaluate_templates(self, pairs, seed):
        said, golds = self(*zip(*pairs, strict=True))
        right = (said.probs.argmax(-1) == golds).tolist()
        return [p2o.TemplateTrial(float(r), r, "", "", "") for r in right]


class TryEach:
    """Tries every hint on every hard question, and gives the best one to all."""

    def evolve(self, hard_set, evaluate, *, group_size, seed, report):
        if not hard_set:
            return p2o.Evolution(p2o.PromptPool())
        trials = [evaluate([(name, hint.text) for name in hard_set]) for hint in HINTS]
        best = max(range(len(HINTS)), key=lambda i: sum(trial.score for trial in trials[i]))
        pool = p2o.PromptPool(HINTS, (best,), dict.fromkeys(hard_set, (best,) * group_size))
        return p2o.Evolution(pool, len(HINTS) * len(hard_set))

    def deal(self, pool, hard_set, *, group_size, seed):
        return dict.fromkeys(hard_set, pool.cover * group_size)


if __name__ == "__main__":
    seed_everything(0)
    model = Adder()
    callbacks = [p2o.PromptEvolution(TryEach()), p2o.HardSampleMiner(threshold=2)]
    Trainer(max_epochs=3, callbacks=callbacks, logger=False).fit(model, DataLoader(range(20)))
    said, golds = model(NAMES, [""] * len(NAMES))
    print(f"without a hint {(said.probs.argmax(-1) == golds).float().mean():.0%} are right")
