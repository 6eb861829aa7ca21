"""Checkpoints are whole or not there."""

import os
import signal
import subprocess
import sys

import pytest
import torch

from p2o.checkpointing import AtomicCheckpointIO, newest_checkpoint, read_header
from p2o.errors import UserError
from p2o.files import replace_folder


def write(path, step, **more):
    content = {"global_step": step, "RolloutDataModule": {}, "weights": torch.ones(1000), **more}
    AtomicCheckpointIO().save_checkpoint(content, path)


def test_what_is_written_is_read_back(tmp_path):
    path = tmp_path / "deep" / "one.ckpt"
    write(path, 3)
    content = AtomicCheckpointIO().load_checkpoint(path, weights_only=True)
    assert content["global_step"] == 3
    assert torch.equal(content["weights"], torch.ones(1000))
    assert [p.name for p in path.parent.iterdir()] == ["one.ckpt"]


def test_the_newest_is_the_one_with_the_most_updates(tmp_path):
    assert newest_checkpoint(tmp_path) is None
    for name, step in (("a", 3), ("b", 12), ("c", 7)):
        write(tmp_path / f"{name}.ckpt", step)
    (tmp_path / "last.ckpt").symlink_to("c.ckpt")
    assert newest_checkpoint(tmp_path) == tmp_path / "b.ckpt"


def test_of_equal_updates_the_later_one_counts(tmp_path):
    for age, name in enumerate(("z", "b", "a")):
        write(tmp_path / f"{name}.ckpt", 3)
        os.utime(tmp_path / f"{name}.ckpt", (1000 + age, 1000 + age))
    assert newest_checkpoint(tmp_path) == tmp_path / "a.ckpt"


def test_damaged_ones_are_passed_over_with_a_warning(tmp_path, caplog):
    write(tmp_path / "good.ckpt", 3)
    write(tmp_path / "half.ckpt", 9)
    whole = (tmp_path / "half.ckpt").read_bytes()
    (tmp_path / "half.ckpt").write_bytes(whole[: len(whole) // 2])
    (tmp_path / "shards.ckpt").mkdir()
    assert newest_checkpoint(tmp_path) == tmp_path / "good.ckpt"
    assert len(caplog.messages) == 2
    assert all(message.endswith("; passing it over") for message in caplog.messages)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (None, "no such checkpoint"),
        (b"PK\x03\x04 not really", "not a checkpoint, or a damaged one"),
        ({"weights": 1}, "not a checkpoint of p2o-train"),
    ],
)
def test_what_is_no_checkpoint_is_said_in_one_line(tmp_path, content, said):
    path = tmp_path / "one.ckpt"
    if isinstance(content, bytes):
        path.write_bytes(content)
    elif content is not None:
        torch.save(content, path)
    with pytest.raises(UserError, match=f"ckpt_path=.*one.ckpt: {said}"):
        read_header(path)


def test_a_kill_while_writing_leaves_the_one_before(tmp_path):
    path = tmp_path / "one.ckpt"
    write(path, 3)
    program = f"""
import os, signal, torch
from p2o.checkpointing import AtomicCheckpointIO
save = torch.save
def killed(content, file):
    save(content, file)
    file.truncate(file.tell() // 2)
    os.kill(os.getpid(), signal.SIGKILL)
torch.save = killed
AtomicCheckpointIO().save_checkpoint({{"global_step": 4, "RolloutDataModule": {{}}}}, {str(path)!r})
"""
    done = subprocess.run([sys.executable, "-c", program])
    assert done.returncode == -signal.SIGKILL
    assert newest_checkpoint(tmp_path) == path
    assert read_header(path)["global_step"] == 3


@pytest.mark.parametrize("before", ["nothing", "file", "folder"])
def test_a_finished_folder_takes_the_place_of_what_was_there(tmp_path, before):
    target, unfinished = tmp_path / "last.ckpt", tmp_path / "last.ckpt.part"
    if before == "file":
        target.write_text("old")
    elif before == "folder":
        target.mkdir()
        (target / "old").touch()
    unfinished.mkdir()
    (unfinished / "new").touch()
    replace_folder(unfinished, target)
    assert [path.name for path in tmp_path.iterdir()] == ["last.ckpt"]
    assert [path.name for path in target.iterdir()] == ["new"]
