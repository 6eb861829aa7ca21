"""``p2o-export --push`` sends a model to a hub, which here stands on this machine."""

import sys
from types import SimpleNamespace

import pytest
from huggingface_hub import constants
from safetensors.torch import load

from p2o.cli.export import main
from tests.hub import TOKEN, stand_in

pytestmark = pytest.mark.slow

SMALL = (
    *("data.source.train=8", "data.source.held_out=4", "data.batch=8", "data.mini_batch=8"),
    *("evolution=none", "trainer.max_epochs=1", "hydra.run.dir=run"),
)


@pytest.fixture
def hub(monkeypatch, tmp_path):
    with stand_in() as hub:
        monkeypatch.setattr(constants, "ENDPOINT", hub.url)
        monkeypatch.setattr(constants, "HF_HUB_DISABLE_XET", True)
        monkeypatch.setattr(constants, "HF_TOKEN_PATH", str(tmp_path / "no token"))
        monkeypatch.setenv("HF_TOKEN", TOKEN)
        yield hub


@pytest.fixture
def run(p2o_train, tmp_path):
    done = p2o_train(*SMALL)
    assert done.returncode == 0, done.stderr
    return tmp_path / "run"


@pytest.fixture
def push(monkeypatch, capsys):
    """Export and send; returns the status and what was said."""

    def push(run, *more, repository="me/adder"):
        arguments = [str(run), "--overwrite", "--push", repository, *more]
        monkeypatch.setattr(sys, "argv", ["p2o-export", *arguments])
        status = 0
        try:
            main()
        except SystemExit as end:
            status = end.code
        said = capsys.readouterr()
        return SimpleNamespace(status=status, out=said.out.splitlines(), err=said.err.splitlines())

    return push


def test_a_model_goes_to_the_hub_as_it_lies_in_its_folder(push, hub, run, tmp_path):
    (run / "export").mkdir()
    (run / "export" / "notes.docx").write_text("mine alone")
    (run / "export" / "credentials.json").write_text("mine alone")
    (run / "export" / "old").mkdir()
    (run / "export" / "old" / "model.safetensors").write_text("mine alone")
    done = push(run, "--private")
    assert done.status == 0, done.err
    assert done.out[-1] == f"{hub.url}/me/adder/commit/{'0' * 40}"
    assert hub.repositories == {"me/adder": True}
    [files] = hub.commits["me/adder"]
    here = {path.name: path.read_bytes() for path in (run / "export").iterdir() if path.is_file()}
    assert here.pop("notes.docx") == here.pop("credentials.json") == b"mine alone"
    assert files == here
    assert load(files["model.safetensors"])
    assert b"'me/adder'" in files["README.md"]

    # Again, to the repository that is there by now.
    assert push(run).status == 0
    assert len(hub.commits["me/adder"]) == 2

    # A hub without room costs no work.
    hub.full = True
    done = push(run, f"--output={tmp_path}/out", "--dtype=float16")
    assert done.status == 2
    # Among bars that show how much was sent.
    assert [line for line in done.err if "error: --push=me/adder: cannot be sent" in line]
    assert (tmp_path / "out" / "model.safetensors").is_file()


@pytest.fixture
def recorded(tmp_path):
    """The record of a run, which is all that is looked at before the hub is asked."""
    (tmp_path / "run" / ".hydra").mkdir(parents=True)
    (tmp_path / "run" / ".hydra" / "config.yaml").write_text("model: {path: embedded:digits}\n")
    (tmp_path / "run" / "checkpoints").mkdir()
    (tmp_path / "run" / "checkpoints" / "last.ckpt").write_bytes(b"")
    return tmp_path / "run"


@pytest.mark.parametrize(
    ("repository", "token", "said"),
    [
        ("adder", TOKEN, "error: --push=adder: give OWNER/NAME"),
        ("me/a der", TOKEN, "error: --push=me/a der: "),
        ("me/adder", "", "set HF_TOKEN, or run `hf auth login`"),
        ("me/adder", "hf_other", "the hub refuses (401"),
    ],
)
def test_what_cannot_be_sent_is_said_in_one_line_before_a_model_is_loaded(
    push, hub, recorded, monkeypatch, repository, token, said
):
    monkeypatch.setenv("HF_TOKEN", token)
    done = push(recorded, repository=repository)
    assert done.status == 2
    [line] = done.err
    assert said in line
    assert TOKEN not in line
    assert not (recorded / "export").exists()


def test_a_repository_of_somebody_else_is_refused_in_one_line(push, hub, recorded):
    hub.denied = True
    done = push(recorded)
    assert done.status == 2
    [line] = done.err
    assert "does the token have the right to write there?" in line


def test_a_hub_that_is_not_there_is_said_in_one_line(push, hub, recorded, monkeypatch):
    monkeypatch.setattr(constants, "ENDPOINT", "http://127.0.0.1:9")
    done = push(recorded)
    assert done.status == 2
    [line] = done.err
    assert "cannot be sent" in line
