"""Checkpoints are whole or not there."""

import os
import random
import signal
import subprocess
import sys

import pytest
import torch

from p2o.errors import UserError
from p2o.running.checkpoint_files import check_whole, newest_checkpoint, read_header
from p2o.running.checkpointing import AtomicCheckpointIO
from p2o.running.files import replace_folder


def write(path, step, **more):
    content = {"global_step": step, "RolloutDataModule": {}, "weights": torch.ones(1000), **more}
    AtomicCheckpointIO().save_checkpoint(content, path)


def damage(content: bytes, seed: int) -> bytes:
    """Flip a bit, cut the end off, blank a stretch or shuffle one."""
    draw, damaged = random.Random(seed), bytearray(content)
    start, length = draw.randrange(len(damaged)), draw.randint(1, 200)
    kind = seed % 4
    if kind == 0:
        damaged[start] ^= 1 << draw.randrange(8)
    elif kind == 1:
        del damaged[start:]
    elif kind == 2:
        damaged[start : start + length] = bytes(len(damaged[start : start + length]))
    else:
        stretch = damaged[start : start + length]
        draw.shuffle(stretch)
        damaged[start : start + length] = stretch
    return bytes(damaged)


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
    write(tmp_path / "flipped.ckpt", 7)
    flipped = bytearray((tmp_path / "flipped.ckpt").read_bytes())
    # In the middle of the weights, where no reader would trip over it.
    flipped[flipped.index(torch.ones(8).numpy().tobytes()) + 100] ^= 1
    (tmp_path / "flipped.ckpt").write_bytes(flipped)
    (tmp_path / "gone.ckpt").symlink_to("/nowhere/gone.ckpt")
    assert newest_checkpoint(tmp_path) == tmp_path / "good.ckpt"
    assert len(caplog.messages) == 4
    assert all(message.endswith("; passing it over") for message in caplog.messages)
    assert any("a link to /nowhere/gone.ckpt, which is not there" in m for m in caplog.messages)


def test_where_all_are_damaged_nothing_begins_anew(tmp_path):
    (tmp_path / "one.ckpt").write_bytes(b"half")
    with pytest.raises(
        UserError, match="no checkpoint in .* can be read; mend one.ckpt, or remove"
    ):
        newest_checkpoint(tmp_path)


def test_whatever_the_damage_it_is_refused_or_does_not_matter(tmp_path):
    path = tmp_path / "one.ckpt"
    write(path, 3, parts={"names": ["a", "b"], "rates": [0.1]})
    whole, content = path.read_bytes(), torch.load(path, weights_only=True)
    refused = 0
    for seed in range(600):
        path.write_bytes(damage(whole, seed))
        try:
            read_header(path)
            check_whole(path)
        except UserError:
            refused += 1
        else:
            loaded = torch.load(path, weights_only=True)
            assert torch.equal(loaded.pop("weights"), content["weights"])
            assert loaded == {key: value for key, value in content.items() if key != "weights"}
    assert refused > 400


def test_one_on_another_disk_is_found_through_its_link_and_replaced_there(tmp_path):
    folder, other = tmp_path / "checkpoints", tmp_path / "other disk"
    folder.mkdir()
    write(other / "moved.ckpt", 9)
    write(folder / "near.ckpt", 3)
    (folder / "recent.ckpt").symlink_to(other / "moved.ckpt")
    assert newest_checkpoint(folder) == folder / "recent.ckpt"
    write(folder / "recent.ckpt", 12)
    assert (folder / "recent.ckpt").is_symlink()
    assert read_header(other / "moved.ckpt")["global_step"] == 12


def test_a_folder_in_a_checkpoint_s_place_is_set_aside(tmp_path):
    (tmp_path / "one.ckpt").mkdir()
    (tmp_path / "one.ckpt" / "something").touch()
    write(tmp_path / "one.ckpt", 3)
    assert read_header(tmp_path / "one.ckpt")["global_step"] == 3
    assert (tmp_path / "one.ckpt.damaged" / "something").exists()


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
    with pytest.raises(UserError, match=f"^/.*one.ckpt: {said}"):
        read_header(path)


@pytest.mark.slow
def test_a_kill_while_writing_leaves_the_one_before(tmp_path):
    path = tmp_path / "one.ckpt"
    write(path, 3)
    program = f"""
import os, signal, torch
from p2o.running.checkpointing import AtomicCheckpointIO
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
