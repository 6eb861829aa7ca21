"""The work of ``p2o-export``: read a checkpoint, write a folder, send it to the hub."""

import argparse
from pathlib import Path

import torch

from p2o.cli.arguments.export import parser
from p2o.cli.policies import trained_policy
from p2o.cli.program import expected_errors
from p2o.errors import UserError
from p2o.export.card import model_card
from p2o.export.checkpoint import find_checkpoint
from p2o.export.hub import make_repository, upload
from p2o.export.run_directory import read_config, read_hydra
from p2o.export.weights import CheckpointWeights
from p2o.policy.adapters import save_policy
from p2o.running.console import ended_by_interrupt, quieten_libraries
from p2o.running.files import link_if_equal, written_whole
from p2o.running.terminal import Terminal


def export(
    run: Path,
    checkpoint: str = "last.ckpt",
    output: Path | None = None,
    dtype: str | None = None,
    overwrite: bool = False,
    push: str | None = None,
    private: bool = False,
) -> Path:
    """Write weights, tokenizer, generation config and a model card; return the folder.

    An adapter is merged into the weights. One process is enough, however many ranks wrote the
    checkpoint, and nothing in a checkpoint can run code.

    Args:
        run: Directory of a run of ``p2o-train``.
        checkpoint: A name in its folder ``checkpoints``, or a path.
        output: Where to; ``RUN/export`` when left out.
        dtype: Of the weights written, a torch name; that of the checkpoint when left out.
        overwrite: Whether the folder may hold something. A model there is replaced, the rest stays.
        push: OWNER/NAME of a repository on the hub that gets the model too; made where it is not
            there.
        private: Whether a repository that is made is private.

    Raises:
        UserError: An argument is wrong, or the checkpoint is damaged or of another model.
    """
    config, output = read_config(run), output or run / "export"
    path, kind = find_checkpoint(run, checkpoint), _read_dtype(dtype)
    _check_output(output, overwrite)
    if push is not None:
        make_repository(push, private)
    weights = CheckpointWeights.open(path)
    hydra = read_hydra(run)
    model, tokenizer = trained_policy(config, hydra, weights)
    model = model if kind is None else model.to(kind)
    card = model_card(run, config, hydra, weights, model, push or output.resolve().name)
    try:
        files = save_policy(model, tokenizer, output)
        with written_whole(output / "README.md", "w", encoding="utf-8") as file:
            file.write(card)
    except OSError as error:
        raise UserError(f"--output={output}: cannot be written ({error})") from error
    shared = [link_if_equal(path, run / "policy" / path.name) for path in _weights(output)]
    terminal = Terminal()
    size = sum(path.stat().st_size for path in _weights(output)) / 1e6
    known = ", stored once with those of policy" if all(shared) else ""
    terminal.print(
        f"{output}: {path.resolve().name}, {model.num_parameters():,} parameters, "
        f"{size:,.1f} MB{known}",
        soft_wrap=True,
    )
    if push is not None:
        terminal.print(upload(output, push, [*files, "README.md"]), soft_wrap=True)
    return output


def _weights(folder: Path) -> list[Path]:
    return sorted(folder.glob("*.safetensors"))


def _read_dtype(name: str | None) -> torch.dtype | None:
    if name is None:
        return None
    kind = getattr(torch, name, None)
    if kind not in (torch.float64, torch.float32, torch.float16, torch.bfloat16):
        raise UserError(f"--dtype={name}: give float64, float32, float16 or bfloat16")
    return kind


def _check_output(output: Path, overwrite: bool) -> None:
    if output.exists() and not output.is_dir():
        raise UserError(f"--output={output}: is a file; give a folder")
    if not overwrite and output.is_dir() and any(output.iterdir()):
        raise UserError(f"--output={output}: is not empty; add --overwrite or give another folder")


@ended_by_interrupt
def start(arguments: argparse.Namespace) -> None:
    """What ``p2o-export`` does with what it was given."""
    quieten_libraries()
    with expected_errors():
        export(**vars(arguments))


def main() -> None:
    """The same for the arguments of this process."""
    start(parser().parse_args())


if __name__ == "__main__":
    main()
