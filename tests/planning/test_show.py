"""Tables fit 80 columns and say what counts; those of the documentation are the command's."""

import os
import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from p2o.cli.plan import markdown
from p2o.planning import Engine, estimate, print_plan
from p2o.planning.devices import DEVICES
from p2o.planning.examples import published, shapes
from p2o.planning.show import duration, gigabytes, verdict
from p2o.running.terminal import Terminal

DOCS = Path(__file__).parents[2] / "docs" / "scaling.md"


def shown(plan):
    console = Terminal(width=80, record=True, file=open(os.devnull, "w"))  # noqa: SIM115
    print_plan(plan, console)
    return console.export_text()


@pytest.fixture
def large():
    setup = published(shapes()["Qwen3-4B"], 8)
    return estimate(setup, ("nothing was known",))


def test_a_plan_fits_80_columns_and_shows_each_item_and_phase(large):
    text = shown(large)
    assert max(map(len, text.splitlines())) <= 80
    # Nothing is cut off.
    assert "…" not in text
    assert "┓" in text
    for item in large.items:
        assert (item.name in text) == bool(item.bytes or item.name == "master weights")
    for phase in large.phases:
        assert (phase.name in text) == bool(phase.seconds)
    assert "- nothing was known" in text
    assert "79 optimiser steps an epoch; 10 epochs take" in text
    for moment in ("prefill", "decode", "scoring", "loss", "backward", "update"):
        assert re.search(rf"{re.escape(gigabytes(large.at(moment)))}\s+│\s+{moment}", text)


def test_the_verdict_names_the_peak_the_room_and_what_helps(large):
    lines = verdict(large)
    assert lines[0].startswith(f"does not fit: {gigabytes(large.peak)} GB ({large.peak_moment})")
    assert "76.0 GB of H100 SXM 80 GB" in lines[0]
    assert lines[1] == f"with all rows of mean length: {gigabytes(large.mean_peak)} GB"
    assert large.mean_peak < large.peak
    assert lines[2].startswith("helps most: model.gradient_checkpointing=true, from 208 to ")
    assert lines[3].startswith("fits with: ")
    settings = lines[3][11:].split(", ")
    assert "model.gradient_checkpointing=true" in settings
    assert any(setting.startswith("trainer=fsdp2 ") for setting in settings)
    assert "does not fit" in shown(large)


def test_rows_are_not_told_apart_when_all_are_the_longest(large):
    batch = large.setup.batch
    longest = replace(batch, mean_prompt_tokens=4096.0, mean_new_tokens=12288.0)
    plan = estimate(replace(large.setup, batch=longest))
    assert not any("mean length" in line for line in verdict(plan))
    assert plan.mean_peak == plan.peak


def test_the_verdict_on_a_run_that_fits_is_one_line():
    setup = published(shapes()["Qwen2.5-0.5B"], 8)
    plan = estimate(setup)
    assert verdict(plan) == [
        f"fits: {gigabytes(plan.peak)} GB at most ({plan.peak_moment}), of 76.0 GB of H100 SXM "
        "80 GB that are usable"
    ]


def test_the_verdict_tells_when_nothing_helps():
    setup = published(shapes()["Qwen2.5-32B"], 1)
    said = "no setting makes it fit: take more devices{} or a smaller model"
    assert verdict(estimate(setup))[-1] == said.format(", rollout=vllm_server")
    assert verdict(estimate(replace(setup, engine=Engine())))[-1] == said.format("")


def test_the_verdict_tells_of_an_engine_without_room():
    setup = published(shapes()["Qwen2.5-0.5B"], 8)
    engine = Engine("vllm", "bfloat16", 2, memory_share=0.01)
    lines = verdict(estimate(replace(setup, engine=engine)))
    assert any(line.startswith("does not fit: a share of 0.01 of the device") for line in lines)


@pytest.mark.parametrize(
    ("size", "said"),
    [(0, "0.00"), (16.09e9, "16.1"), (1.5e6, "0.00150"), (99.96e9, "100"), (1234.5e9, "1,234")],
)
def test_gigabytes_have_three_digits(size, said):
    assert gigabytes(size) == said


@pytest.mark.parametrize(
    ("seconds", "said"),
    [(0.01234, "0.0123 s"), (119, "119 s"), (120, "2 min"), (7199, "120 min"), (7200, "2 h")],
)
def test_durations_have_a_unit_that_reads_well(seconds, said):
    assert duration(seconds) == said


def test_the_tables_of_the_documentation_are_what_the_command_prints():
    text = DOCS.read_text()
    begin, end = "<!-- python -m p2o.cli.plan -->\n", "<!-- end -->\n"
    assert text.count(begin) == text.count(end) == 1
    assert text.partition(begin)[2].partition(end)[0].strip() == markdown().strip()


@pytest.mark.slow
def test_the_command_prints_the_tables():
    done = subprocess.run(
        [sys.executable, "-m", "p2o.cli.plan"],
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )
    assert done.stdout == markdown()


def test_float32_products_are_those_of_tf32():
    assert DEVICES["h100"].rate("float32") == 494.7e12
    assert DEVICES["a100"].rate("float32") == 156e12
    assert DEVICES["laptop"].rate("bfloat16") == DEVICES["laptop"].rate("float32") == 384e9


def test_devices_have_a_source_and_sensible_numbers():
    for device in DEVICES.values():
        assert device.source
        assert 0 < device.usable < device.memory
        assert device.rate("bfloat16") >= device.rate("float32")
        assert device.rate("no such type") == device.rate("float32")
        assert device.link >= device.network
