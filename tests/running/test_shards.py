"""A folder of shards from a stranger runs no code, and damage in it is found."""

import os
import pickle
import warnings
from typing import Any

import pytest
import torch
from torch.distributed.checkpoint.api import CheckpointException
from torch.distributed.checkpoint.filesystem import FileSystemReader
from torch.distributed.checkpoint.state_dict_saver import save

from p2o.errors import UserError
from p2o.running.checkpoint_files import check_whole, newest_checkpoint, read_header
from p2o.running.shards import CHECKSUMS, INDEX, PROGRESS, load_shards, read_index, write_checksums


class Code:
    """Runs a call when it is unpickled."""

    def __init__(self, function: Any, *arguments: Any) -> None:
        self.call = function, arguments

    def __reduce__(self) -> Any:
        return self.call


def content() -> dict[str, Any]:
    state = {"weight": {"step": torch.tensor(3.0), "exp_avg": torch.full((4, 5), 0.5)}}
    groups = [{"lr": 1e-3, "betas": (0.9, 0.95), "foreach": None, "params": ["weight"]}]
    return {
        "state_dict": {"weight": torch.arange(20.0).view(4, 5), "half": torch.ones(3).bfloat16()},
        "optimizer_0": {"state": state, "param_groups": groups},
    }


def write(folder, state, step=3):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        save(state, checkpoint_id=folder, no_dist=True)
    torch.save({"global_step": step, "RolloutDataModule": {}}, folder / PROGRESS)
    write_checksums(folder)
    return folder


def load(folder, state):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        load_shards(state, folder, alone=True)


def test_what_is_written_is_read_back(tmp_path):
    folder, expected, state = tmp_path / "one.ckpt", content(), content()
    write(folder, expected)
    for tensor in (
        *state["state_dict"].values(),
        *state["optimizer_0"]["state"]["weight"].values(),
    ):
        tensor.zero_()
    state["optimizer_0"]["param_groups"][0].update(lr=0.0, betas=(0.0, 0.0))
    load(folder, state)
    for name, value in expected["state_dict"].items():
        assert torch.equal(state["state_dict"][name], value)
    assert repr(state["optimizer_0"]) == repr(expected["optimizer_0"])
    assert read_header(folder)["global_step"] == 3
    check_whole(folder)


@pytest.mark.parametrize(
    "call",
    [
        (os.mkdir,),
        (eval, "__import__('os').mkdir({!r})"),
        # Torch's own, of modules that an index has to do with.
        (torch.load,),
        (torch.serialization.load,),
        (FileSystemReader,),
        (torch.hub.load_state_dict_from_url,),
    ],
    ids=lambda call: call[0].__name__,
)
def test_an_index_that_calls_something_is_refused(tmp_path, call):
    folder, made = write(tmp_path / "one.ckpt", content()), str(tmp_path / "made by code")
    function, *arguments = call
    code = Code(function, *(a.format(made) for a in arguments or ["{}"]))
    for index in (code, {"state_dict_metadata": code}):
        (folder / INDEX).write_bytes(pickle.dumps(index))
        with pytest.raises(UserError, match="one.ckpt: not a checkpoint, or a damaged one"):
            read_header(folder)
        with pytest.raises(
            CheckpointException, match="in an index of shards|an index of shards that is a"
        ):
            load(folder, content())
    assert not os.path.exists(made)


def test_a_value_beside_the_tensors_that_calls_something_is_refused(tmp_path):
    made, state = tmp_path / "made by code", content()
    state["optimizer_0"]["param_groups"][0]["lr"] = Code(os.mkdir, str(made))
    folder = write(tmp_path / "one.ckpt", state)
    made.rmdir() if made.exists() else None
    with pytest.raises(CheckpointException, match="Weights only load failed"):
        load(folder, content())
    assert not made.exists()


def test_a_flipped_bit_anywhere_is_found(tmp_path):
    folder = write(tmp_path / "one.ckpt", content())
    for path in sorted(folder.iterdir()):
        whole = path.read_bytes()
        for place in (0, len(whole) // 3, len(whole) // 2, len(whole) - 1):
            damaged = bytearray(whole)
            damaged[place] ^= 4
            path.write_bytes(damaged)
            with pytest.raises(UserError, match=r"one.ckpt: (damaged; .* is not as|not a checkp)"):
                check_whole(folder)
        path.write_bytes(whole)
    check_whole(folder)


@pytest.mark.parametrize("missing", [INDEX, CHECKSUMS, "__0_0.distcp"])
def test_of_folders_too_the_newest_whole_one_is_taken(tmp_path, missing):
    write(tmp_path / "good.ckpt", content(), step=3)
    (write(tmp_path / "newer.ckpt", content(), step=9) / missing).unlink()
    assert newest_checkpoint(tmp_path) == tmp_path / "good.ckpt"


def test_an_index_names_the_tensors(tmp_path):
    index = read_index(write(tmp_path / "one.ckpt", content()))
    assert "state_dict.weight" in index.state_dict_metadata
