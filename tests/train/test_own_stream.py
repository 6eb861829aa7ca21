"""A stream of a module outside of p2o reaches a loss that names it, by the command line alone."""

import csv

import pytest
from omegaconf import OmegaConf

from p2o.cli.streams import make_streams
from p2o.errors import UserError
from p2o.learning.scored import STREAMS

SMALL = (
    *("data.source.train=16", "data.source.held_out=4", "data.batch=8", "data.mini_batch=4"),
    *("trainer.max_epochs=1", "trainer.accumulate_grad_batches=2", "evolution=none"),
)
MODULE = """
from p2o.objectives import ClippedLoss


def surprise(scored, times):
    return -times * scored.sampled


class Surprised(ClippedLoss):
    '''Logs at how many tokens the stream has what p2o's own says of the same token.'''

    reads = ("surprise", "sampled_log_probs")

    def token_losses(self, log_probs, log_ratio, advantages, sequences, **streams):
        losses, shares = super().token_losses(log_probs, log_ratio, advantages, sequences)
        found, own = streams["surprise"], streams["sampled_log_probs"]
        told = (found + 3 * own).abs() < 1e-4
        return losses, {**shares, "told": told, "differing": (found - found.mean()).abs() > 1e-2}
"""
STREAM = (
    *("+streams.surprise._target_=mine.surprise", "+streams.surprise._partial_=true"),
    "+streams.surprise.times=3",
)


@pytest.mark.slow
def test_a_stream_that_is_named_on_the_command_line_reaches_a_loss(p2o_train, tmp_path):
    (tmp_path / "mine.py").write_text(MODULE)
    loss = "algorithm.loss._target_=mine.Surprised"
    done = p2o_train(*SMALL, loss, *STREAM, "hydra.run.dir=run")
    assert done.returncode == 0, done.stderr
    rows = list(csv.DictReader((tmp_path / "run" / "metrics.csv").open()))
    rows = [row for row in rows if row["train/told"]]
    assert rows
    assert {float(row["train/told"]) for row in rows} == {1.0}
    # A value of another token would have been seen.
    assert all(float(row["train/differing"]) > 0.9 for row in rows)
    refused = p2o_train(*SMALL, "+streams.advantages._target_=mine.surprise")
    assert refused.returncode == 2
    assert refused.stderr == (
        "error: streams.advantages: there is a stream of that name already; "
        "give yours another one\n"
    )


def made(**streams):
    return make_streams(OmegaConf.create({"streams": streams}))


def number() -> int:
    return 3


def value(scored) -> float:
    return 2.0


VALUE = {"_target_": f"{__name__}.value", "_partial_": True}


def test_streams_of_a_configuration_stand_beside_those_of_p2o():
    assert made() == STREAMS
    streams = made(value=VALUE, left_out=None)
    assert streams.keys() == {*STREAMS, "value"}
    assert streams["value"](None) == 2.0  # type: ignore[arg-type]


@pytest.mark.parametrize("name", [*STREAMS, "entropies"])
def test_a_name_that_is_taken_is_refused(name):
    with pytest.raises(UserError, match=rf"^streams\.{name}: there is a stream of that name alre"):
        made(**{name: VALUE})


@pytest.mark.parametrize(
    ("node", "said"),
    [
        (
            {"_target_": f"{__name__}.number"},
            r"streams\.mine\._target_=\S+number: makes no functio",
        ),
        (
            {"_target_": f"{__name__}.value"},
            r"streams\.mine: cannot make .*value \(value\(\) missin",
        ),
        ({"_target_": "nowhere.value"}, r"streams\.mine: cannot make nowhere\.value"),
    ],
)
def test_what_is_no_stream_is_refused(node, said):
    with pytest.raises(UserError, match=f"^{said}"):
        made(mine=node)
