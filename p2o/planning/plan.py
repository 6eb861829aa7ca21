"""An estimate of memory and time, on paper, before anything is spent."""

from dataclasses import dataclass, replace
from functools import cached_property
from math import ceil

from p2o.planning.memory import MOMENTS, Item, cache_pool, items
from p2o.planning.setup import Setup
from p2o.planning.timing import TimedPhase, phases


@dataclass(frozen=True)
class Plan:
    """What a run would take.

    Attributes:
        setup: What it follows from.
        items: Memory of one of the trainer's devices.
        phases: Time.
        assumptions: What was not known and is taken to be so.
    """

    setup: Setup
    items: tuple[Item, ...]
    phases: tuple[TimedPhase, ...]
    assumptions: tuple[str, ...] = ()

    def at(self, moment: str) -> float:
        """Bytes in use at one of `p2o.planning.memory.MOMENTS`."""
        return sum(item.bytes for item in self.items if moment in item.moments)

    @property
    def peak_moment(self) -> str:
        """When most memory is in use."""
        return max(MOMENTS, key=self.at)

    @cached_property
    def peak(self) -> float:
        """Most bytes in use on a device of the trainer."""
        return self.at(self.peak_moment)

    @property
    def sequence_cache(self) -> float:
        """Bytes of keys and values of the longest sequence there can be."""
        number = self.setup.engine.number_bytes
        return self.setup.shape.cache_bytes(number) * self.setup.batch.longest

    @property
    def batch_cache(self) -> float:
        """The same of all rollouts of a batch that one engine gets, were they sampled at once."""
        return self.sequence_cache * -(-self.setup.batch.rollouts // self.setup.replicas)

    @property
    def engine_fits(self) -> bool:
        """Whether vLLM's share of its device holds its weights and the longest sequence."""
        return self.setup.engine.kind == "hf" or cache_pool(self.setup) >= self.sequence_cache

    @property
    def mean_peak(self) -> float:
        """What `peak` would be were all rows as long as the mean; the truth lies between."""
        batch = self.setup.batch
        mean = replace(
            batch,
            prompt_tokens=ceil(batch.mean_prompt_tokens),
            new_tokens=ceil(batch.mean_new_tokens),
        )
        return estimate(replace(self.setup, batch=mean)).peak

    @property
    def fits(self) -> bool:
        """Whether everything has room."""
        return self.engine_fits and self.peak <= self.setup.device.usable

    @property
    def step_seconds(self) -> float:
        """Of one optimiser step, its part of the sampling included."""
        return sum(phase.seconds for phase in self.phases if phase.per == "step")

    @property
    def steps(self) -> int:
        """Optimiser steps of an epoch."""
        return self.setup.batch.sizes.mini_batches(self.setup.schedule.prompts)

    @property
    def training_seconds(self) -> float:
        """Of one epoch without evaluation and search.

        A batch that is not full counts by its prompts.
        """
        batches = self.setup.schedule.prompts / self.setup.batch.sizes.batch
        return batches * self.setup.batch.steps * self.step_seconds

    @property
    def epoch_seconds(self) -> float:
        """Of one epoch, its evaluation and the search that follows it."""
        return self.training_seconds + sum(p.seconds for p in self.phases if p.per == "epoch")

    @property
    def run_seconds(self) -> float:
        """Of the whole run."""
        schedule = self.setup.schedule
        evaluation, search = (phase.seconds for phase in self.phases if phase.per == "epoch")
        epochs = schedule.epochs * self.training_seconds
        return epochs + (schedule.epochs + 1) * evaluation + schedule.searches * search

    @property
    def device_hours(self) -> float:
        """Of the whole run, all devices."""
        return self.run_seconds * self.setup.devices / 3600


def estimate(setup: Setup, assumptions: tuple[str, ...] = ()) -> Plan:
    """What a run would take in memory and time.

    Args:
        setup: Of the run.
        assumptions: To show with it.
    """
    return Plan(setup, items(setup), phases(setup), assumptions)
