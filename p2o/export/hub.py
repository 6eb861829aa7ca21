"""A model folder on the Hugging Face hub."""

import glob
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import httpx2

from p2o.errors import UserError, first_line


def make_repository(repository: str, private: bool = False) -> None:
    """Make sure that a repository is there and takes what we send, before a model is written.

    Args:
        repository: OWNER/NAME.
        private: Whether one that is made is private for sure; one that exists stays as it is.

    Raises:
        UserError: The name is none, there is no token, or the hub refuses or cannot be reached.
    """
    from huggingface_hub import HfApi, get_token

    if repository.count("/") != 1:
        raise UserError(f"--push={repository}: give OWNER/NAME")
    if get_token() is None:
        raise UserError(
            f"--push={repository}: the hub wants a token; set HF_TOKEN, or run `hf auth login`"
        )
    with _refusals(repository):
        HfApi().create_repo(repository, private=private or None, exist_ok=True)


def upload(folder: Path, repository: str, files: Sequence[str]) -> str:
    """Send a model to a repository, as one commit; returns the address of the commit.

    Args:
        folder: With weights, tokenizer and card.
        repository: OWNER/NAME.
        files: What of the folder is sent; it may hold other files of the user's.

    Raises:
        UserError: The hub refuses or cannot be reached; the folder stays.
    """
    from huggingface_hub import HfApi

    with _refusals(repository):
        commit = HfApi().upload_folder(
            folder_path=folder,
            repo_id=repository,
            # Its own brackets, stars and question marks are not to be a pattern's.
            allow_patterns=[glob.escape(file) for file in files],
            commit_message="Model exported by p2o-export",
        )
    return str(commit.commit_url)


@contextmanager
def _refusals(repository: str) -> Iterator[None]:
    from huggingface_hub.errors import HfHubHTTPError, HFValidationError

    try:
        yield
    except HFValidationError as error:
        raise UserError(f"--push={repository}: {first_line(error)}") from error
    except HfHubHTTPError as error:
        status = error.response.status_code
        advice = "; does the token have the right to write there?" if status in (401, 403) else ""
        said = error.server_message or error.response.reason_phrase
        raise UserError(
            f"--push={repository}: the hub refuses ({status}: {said}){advice}"
        ) from error
    # Large files are sent in threads, whose errors come wrapped.
    except (OSError, httpx2.HTTPError, RuntimeError, ValueError) as error:
        raise UserError(
            f"--push={repository}: cannot be sent ({first_line(error)}); what was written stays, "
            "so it can be sent again"
        ) from error
