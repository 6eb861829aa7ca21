"""Checkpoints are whole or not there."""

import errno
import os
import random
import signal
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Any

import pytest
import torch
from lightning.pytorch import Callback, LightningModule, Trainer

from p2o.errors import UserError
from p2o.running.checkpoint_files import check_whole, newest_checkpoint, read_header
from p2o.running.checkpointing import AtomicCheckpointIO, StepCheckpoint
from p2o.running.files import replace_folder
from p2o.running.same_checkpoint import SameCheckpoint


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


@pytest.mark.parametrize("number", [errno.EIO, errno.ESTALE, errno.EACCES, errno.EPERM])
@pytest.mark.parametrize("place", ["header", "weights", "folder"])
def test_what_this_machine_cannot_read_is_no_damage_and_no_older_one_is_taken(
    tmp_path, monkeypatch, number, place
):
    write(tmp_path / "older.ckpt", 3)
    write(tmp_path / "newer.ckpt", 9)
    whole, part = {
        "header": (torch, "load"),
        "weights": (zipfile, "ZipFile"),
        "folder": (Path, "iterdir"),
    }[place]
    read = getattr(whole, part)

    def fail(path, *arguments, **named):
        if Path(path).name == "older.ckpt":
            return read(path, *arguments, **named)
        raise OSError(number, "refused")

    monkeypatch.setattr(whole, part, fail)
    with pytest.raises(UserError) as refused:
        newest_checkpoint(tmp_path)
    named = tmp_path if place == "folder" else tmp_path / "newer.ckpt"
    line = f"{named}: cannot be read here ({os.strerror(number)}), which need not be damage; mend"
    assert str(refused.value).startswith(line)


def test_where_memory_is_short_no_older_one_is_taken(tmp_path, monkeypatch):
    write(tmp_path / "one.ckpt", 3)

    def fail(*arguments, **named):
        raise MemoryError

    monkeypatch.setattr(torch, "load", fail)
    with pytest.raises(UserError, match="one.ckpt: cannot be read here .Cannot allocate memory"):
        newest_checkpoint(tmp_path)


def test_ranks_that_have_chosen_different_checkpoints_end_in_one_line(tmp_path, monkeypatch):
    path = tmp_path / "one.ckpt"
    write(path, 3)
    mine: Any = SameCheckpoint(path)
    others: list[str] = []
    monkeypatch.setattr(
        "p2o.running.same_checkpoint.gather", lambda choice: [choice, choice, *others]
    )
    mine.setup(None, None, "fit")
    write(path, 4)
    for there, said in ((path, f"{path} with 4 updates"), (None, "no checkpoint")):
        others[:] = [SameCheckpoint(there)._choice]
        with pytest.raises(UserError) as refused:
            mine.setup(None, None, "fit")
        assert str(refused.value).startswith(
            f"rank 0 goes on from {path} with 3 updates, rank 2 from {said}; "
        )


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


class Alike(LightningModule):
    """Is as good after every epoch as after the first."""

    def __init__(self):
        super().__init__()
        self.layer = torch.nn.Linear(2, 1)

    def training_step(self, batch):
        self.log("score", 1.0)
        return self.layer(batch).square().mean()

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), lr=0.1)


def fit(folder, epochs=1, best=(), newest=()):
    """Train with the best checkpoint and the newest, made with more arguments."""
    common = {"dirpath": folder, "enable_version_counter": False, "mode": "max"}
    callbacks: list[Callback] = [
        StepCheckpoint(**common | {"filename": "best", "monitor": "score"} | dict(best)),
        StepCheckpoint(**common | {"filename": "{step}", "monitor": "step"} | dict(newest)),
    ]
    trainer = Trainer(
        accelerator="cpu",
        max_epochs=epochs,
        logger=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        callbacks=callbacks,
        plugins=[AtomicCheckpointIO()],
    )
    trainer.fit(Alike(), torch.ones(3, 2))
    return callbacks


def names(folder):
    return {path.name for path in folder.iterdir()}


def test_what_two_save_at_an_epoch_s_end_is_one_file_and_the_later_one(tmp_path):
    _, newest = fit(tmp_path)
    best, last = tmp_path / "best.ckpt", tmp_path / "step=3.ckpt"
    assert names(tmp_path) == {best.name, last.name}
    assert best.samefile(last)
    state = torch.load(best, weights_only=True)["callbacks"][newest.state_key]
    assert state["best_model_path"] == str(last)


def test_the_best_is_there_when_the_other_name_is_gone(tmp_path):
    fit(tmp_path, epochs=2)
    assert names(tmp_path) == {"best.ckpt", "step=6.ckpt"}
    best = tmp_path / "best.ckpt"
    check_whole(best)
    assert best.stat().st_nlink == 1
    assert torch.load(best, weights_only=True)["global_step"] == 3


def test_on_a_disk_without_hard_links_there_are_two_files(tmp_path, monkeypatch):
    def refused(*names):
        raise PermissionError(errno.EPERM, "Operation not permitted")

    monkeypatch.setattr(os, "link", refused)
    fit(tmp_path)
    assert names(tmp_path) == {"best.ckpt", "step=3.ckpt"}
    assert not (tmp_path / "best.ckpt").samefile(tmp_path / "step=3.ckpt")
    check_whole(tmp_path / "best.ckpt")


def test_what_a_kill_while_linking_has_left_is_cleared_away_and_not_written_into(tmp_path):
    fit(tmp_path, newest={"save_top_k": 2})
    first = tmp_path / "step=3.ckpt"
    content = first.read_bytes()
    (tmp_path / "best.ckpt.part").hardlink_to(first)
    fit(tmp_path, epochs=2, newest={"filename": "again {step}"})
    assert names(tmp_path) == {"best.ckpt", "step=3.ckpt", "again step=6.ckpt"}
    assert first.read_bytes() == content


@pytest.mark.parametrize(
    ("best", "newest"),
    [
        ({"save_weights_only": True}, {}),
        ({}, {"save_weights_only": True}),
        ({}, {"every_n_epochs": 2}),
        ({"every_n_train_steps": 2}, {}),
    ],
    ids=["weights alone", "with more", "not both", "another step"],
)
def test_other_states_are_other_files(tmp_path, best, newest):
    fit(tmp_path, best=best, newest=newest)
    assert (tmp_path / "best.ckpt").stat().st_nlink == 1


def test_one_in_another_folder_is_another_file(tmp_path):
    fit(tmp_path, best={"dirpath": tmp_path / "elsewhere"})
    assert (tmp_path / "elsewhere" / "best.ckpt").stat().st_nlink == 1


def test_one_that_is_kept_elsewhere_through_a_link_stays_there(tmp_path):
    folder, other = tmp_path / "checkpoints", tmp_path / "other disk"
    folder.mkdir()
    other.mkdir()
    (folder / "best.ckpt").symlink_to(other / "kept.ckpt")
    fit(folder)
    assert (folder / "best.ckpt").is_symlink()
    assert (other / "kept.ckpt").stat().st_nlink == 1


def test_of_two_names_of_a_damaged_file_neither_is_taken(tmp_path, caplog):
    write(tmp_path / "before.ckpt", 3)
    write(tmp_path / "epoch.ckpt", 9)
    (tmp_path / "best.ckpt").hardlink_to(tmp_path / "epoch.ckpt")
    content = bytearray((tmp_path / "epoch.ckpt").read_bytes())
    content[content.index(torch.ones(8).numpy().tobytes()) + 100] ^= 1
    (tmp_path / "epoch.ckpt").write_bytes(content)
    assert newest_checkpoint(tmp_path) == tmp_path / "before.ckpt"
    assert {message.split(": damaged")[0] for message in caplog.messages} == {
        str(tmp_path / "epoch.ckpt"),
        str(tmp_path / "best.ckpt"),
    }
