"""Runs `p2o-train` in children of a process that has imported it, and stops them at chosen points.

Reads a JSON line for each run: arguments, folder, and optionally a signal, a point and the number
of its visit at which the child sends itself the signal. Writes a JSON line: exit status (negative
for a signal), and how often each point was visited.
"""

import json
import os
import resource
import signal
import sys
import tempfile
from collections import Counter
from pathlib import Path
from typing import Any

import torch
from lightning.pytorch import Callback

import p2o.cli.train
import p2o.cli.training
import p2o.running.preemption
from p2o.accounting.journal import Journal, JournaledEngine
from p2o.learning.loader import RolloutLoader
from p2o.learning.module import P2OModule
from p2o.rollout.hf import HFEngine
from p2o.running.checkpointing import AtomicCheckpointIO
from p2o_callbacks import HardSampleMiner, PromptEvolution
from tests.patience import HANGS


class SaveEverywhere(Callback):
    """A checkpoint after every step, within updates too: ``step_NN.ckpt``."""

    def on_train_batch_end(self, trainer, pl_module, outputs, batch, batch_idx):
        """Save."""
        if batch_idx + 1 < trainer.num_training_batches:
            step = trainer.fit_loop.epoch_loop.total_batch_idx
            trainer.save_checkpoint(f"step_{step:02d}.ckpt")


class Child:
    """Counts visits, and sends the signal at the right one."""

    def __init__(self, order: dict[str, Any], counts: Path) -> None:
        self.order, self.counts = order, counts
        self.visits: Counter[str] = Counter()

    def visit(self, point: str) -> bool:
        """Whether the signal is due now."""
        self.visits[point] += 1
        self.counts.write_text(json.dumps(self.visits))
        return (point, self.visits[point]) == (self.order.get("point"), self.order.get("visit"))

    def signal(self) -> None:
        os.kill(os.getpid(), getattr(signal, self.order["signal"]))

    def stop_before(self, owner: Any, method: str, point: str) -> None:
        original = getattr(owner, method)

        def patched(*arguments, **named):
            if self.visit(point):
                self.signal()
            return original(*arguments, **named)

        setattr(owner, method, patched)

    def stop_after(self, owner: type, method: str, point: str) -> None:
        original = getattr(owner, method)

        def patched(this, *arguments, **named):
            result = original(this, *arguments, **named)
            if self.visit(point):
                self.signal()
            return result

        setattr(owner, method, patched)

    def stop_inside_writing(self) -> None:
        """Half of a checkpoint is on disk; half of a line of the journal is."""
        save, put = torch.save, Journal.put

        def half_a_checkpoint(content, file):
            save(content, file)
            if self.visit("checkpoint half written"):
                file.truncate(file.tell() // 2)
                file.flush()
                self.signal()

        def half_a_line(this, key, *result):
            put(this, key, *result)
            if self.visit("journal half written"):
                os.truncate(this.path, this.path.stat().st_size - len(key))
                self.signal()

        torch.save, Journal.put = half_a_checkpoint, half_a_line  # type: ignore[assignment]

    def run(self) -> None:
        self.stop_before(p2o.cli.training, "prepare", "in preparation")
        self.stop_before(HFEngine, "generate", "in a rollout")
        self.stop_after(RolloutLoader, "_roll_out", "after a rollout")
        self.stop_before(P2OModule, "training_step", "within an update")
        self.stop_before(P2OModule, "on_before_optimizer_step", "before an update")
        self.stop_after(P2OModule, "optimizer_step", "after an update")
        self.stop_after(AtomicCheckpointIO, "save_checkpoint", "after a checkpoint")
        self.stop_inside_writing()
        self.stop_before(JournaledEngine, "generate", "in a search")
        self.stop_before(HardSampleMiner, "on_train_epoch_end", "at an epoch's end")
        self.stop_before(PromptEvolution, "on_train_epoch_start", "at an epoch's start")
        self.stop_after(PromptEvolution, "on_train_epoch_start", "after a search")
        if "file_size" in self.order:
            resource.setrlimit(resource.RLIMIT_FSIZE, (self.order["file_size"], -1))
        # The machine may be too busy to get to the end of an update in time.
        p2o.running.preemption.GRACE_SECONDS = HANGS
        os.chdir(self.order["folder"])
        output = os.open("output.txt", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        os.dup2(output, 1)
        os.dup2(output, 2)
        sys.argv = ["p2o-train", *self.order["arguments"]]
        p2o.cli.train.main()


def serve() -> None:
    for line in sys.stdin:
        counts = Path(tempfile.mkstemp()[1])
        process = os.fork()
        if process == 0:
            status = 1
            try:
                Child(json.loads(line), counts).run()
                status = 0
            except SystemExit as stopped:
                status = stopped.code if isinstance(stopped.code, int) else 1
            finally:
                sys.stdout.flush()
                os._exit(status)
        status = os.waitstatus_to_exitcode(os.waitpid(process, 0)[1])
        visits = json.loads(counts.read_text() or "{}")
        counts.unlink()
        print(json.dumps({"status": status, "visits": visits}), flush=True)


if __name__ == "__main__":
    serve()
