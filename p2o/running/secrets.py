"""Keys and passwords: where they come from, and what stands for them wherever text is written.

A configuration is kept with every run, so a key belongs into the environment, ``${oc.env:NAME}``,
or into a file, ``${file:PATH}``. Wherever a configuration or a service's words are written these
references stay as they are, and a key that was given in clear is left out.
"""

import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

import yaml
from omegaconf import DictConfig, OmegaConf

HIDDEN = "***"
SHORTEST = 4
"""Characters of a secret that is looked for in text: a shorter one would be found in any word."""
REFERENCE = re.compile(r"\$\{(?:oc\.env|file):[^,}]*\}")
"""What names a key without being one; a default behind a comma would be."""
RESOLVED_LATE = re.compile(r"\$\{(?=(?:oc\.env|file):)")
SCHEMES = ("", "bearer", "basic", "token", "apikey")
NAMES = re.compile(
    r"(?:^|[_.-])(?:authorization|secrets?|passwords?|passwd|passphrase|pwd|credentials?|bearer"
    r"|cookie|(?:access|account|admin|api|auth|aws|client|encryption|hf|openai|private|secret"
    r"|service|signing|ssh|wandb)_?keys?)$"
    r"|^(?:pass|token)$|(?:access|api|auth|bearer|refresh|session)token$"
    r"|^(?!(?:.*_)?(?:bos|eos|pad|unk|sep|cls|mask|image|audio|video|stop|start|begin|end|first"
    r"|last|new|per|special|think|tool)_token$).*_token$"
)
"""Keys of a configuration whose values are secrets, with ``_`` before and for ``-``, in small
letters. Tokens of a tokenizer are none."""
VARIABLES = re.compile(r"[A-Z][A-Z0-9_]*_(?:KEY|TOKEN|PASS)")
"""Names of environment variables whose values are secrets."""
OPEN_HEADERS = ("accept", "content_type", "user_agent")
"""Headers that tell no secret; of any other the value is taken for one."""
FORMS = (
    # A password may have any character in it, but a port before a path is none.
    (re.compile(r"(?<=://)(?:[^/\s@:]*:(?!\d+[/,])[^\s\"]*|[^/\s\"]+)@"), f"{HIDDEN}@"),
    (re.compile(r"\b(bearer|basic)\s+(?=\S*\d)[\w.~+/=-]{8,}", re.I), rf"\1 {HIDDEN}"),
    (re.compile(r"\b(?:sk|pk|rk|hf|ghp|gho|glpat|github_pat)[-_][\w-]{12,}"), HIDDEN),
    (re.compile(r"\b(?:AKIA|AIza|eyJ)[\w.-]{16,}"), HIDDEN),
    (
        re.compile(r"([?&](?:api[_-]?key|key|token|access_token|sig|signature|password)=)[^&\s]+"),
        rf"\1{HIDDEN}",
    ),
)
"""How a secret is known without its name: in an address, behind its scheme, by its beginning."""


SETTING = re.compile(r"(?P<name>[\w.-]+)\s*[=:]\s*")
VALUE = re.compile(
    r"""'(?:\\.|[^'\\])*'|"(?:\\.|[^"\\])*"|\{(?:[^{}]|\{[^{}]*\})*\}|\[[^]]*\]"""
    # To the next setting, which is none where a key in base 64 ends.
    r"""|(?:\\.|\$\{[^}]*\}|(?!\s[\w.+~/@-]+=[^=,\s])[^],}])*"""
)
"""A setting on a command line: its name, and what is behind it."""


def hide(text: str, known: Iterable[str] = ()) -> str:
    """Text without secrets: those that are known, and what looks like one."""
    long = (secret for secret in known if len(secret) >= SHORTEST)
    for secret in sorted(long, key=len, reverse=True):
        text = text.replace(secret, HIDDEN)
    for form, shown in FORMS:
        text = form.sub(shown, text)
    return text


def secrets_of(url: str, headers: Mapping[str, str]) -> set[str]:
    """What must not be repeated of a request: values of headers, and a password in its address."""
    values = [value for name, value in headers.items() if _small(name) not in OPEN_HEADERS]
    # A service may repeat the key without its scheme.
    found = {part for value in values for part in (value, value.rpartition(" ")[2])}
    try:
        address = urlsplit(url)
        # A user without a password is a key.
        password = address.password or address.username
    # An address that is none; who asks there says so.
    except ValueError:
        password = None
    found |= {password, unquote(password)} if password else set()
    return found | {json.dumps(secret)[1:-1] for secret in found}


def plain_config(config: DictConfig) -> Any:
    """A configuration as it may be written: plain values, references to keys instead of keys."""
    raw = map_texts(OmegaConf.to_container(config), partial(RESOLVED_LATE.sub, r"\\${"))
    return without_secrets(OmegaConf.to_container(OmegaConf.create(raw), resolve=True))


def without_secrets(content: Any, name: str = "", header: bool = False) -> Any:
    """Plain values without those that are secrets, by their name or by their form.

    Args:
        content: Dictionaries, lists and plain values.
        name: The key under which it stands.
        header: Whether it is the value of a header, or inside of a secret.
    """
    if isinstance(content, dict):
        within = header or _holds_secrets(name)
        return {key: without_secrets(v, str(key), within) for key, v in content.items()}
    if isinstance(content, list):
        return [without_secrets(value, name, header) for value in content]
    if (
        (_small(name) not in OPEN_HEADERS if header else _is_secret(name))
        and content is not None
        and not isinstance(content, bool)
    ):
        return content if _is_reference(str(content)) else HIDDEN
    return hide(content) if isinstance(content, str) else content


def hide_settings(text: str) -> str:
    """Settings as a command line gives them, one or several, without those that are secrets.

    >>> hide_settings("seed=1,verifier.headers={X-Key: mine},model.hub_token=mine")
    'seed=1,verifier.headers=***,model.hub_token=***'
    """
    shown, end = "", 0
    for found in SETTING.finditer(text):
        parts = found["name"].split(".")
        secret = _is_secret(parts[-1]) or any(map(_holds_secrets, parts))
        if found.start() < end or not secret or _small(parts[-1]) in OPEN_HEADERS:
            continue
        value = VALUE.match(text, found.end())
        if value and value[0] and not _is_reference(value[0].strip("'\"")):
            shown, end = shown + text[end : found.end()] + HIDDEN, value.end()
    return hide(shown + text[end:])


def hiding(*configs: DictConfig) -> Callable[[Any], Any]:
    """What takes the secrets that configurations were given in clear out of plain values."""
    given = [OmegaConf.to_container(config) for config in configs]
    pairs = zip(_texts(given), _texts(without_secrets(given)), strict=True)
    known = {text for text, shown in pairs if shown == HIDDEN}

    def hidden(content: Any) -> Any:
        return map_texts(without_secrets(content), lambda text: hide(text, known))

    return hidden


def hide_in_run(config: DictConfig, hydra: Any) -> None:
    """Take the secrets of a configuration out of the files that Hydra has written.

    Args:
        config: As it was composed.
        hydra: Hydra's own configuration, which says where the files are.
    """
    # They import torch, which takes seconds that a line about a wrong key should not take.
    from p2o.running.distributed import starting_rank
    from p2o.running.files import written_whole

    given = [OmegaConf.to_container(config), OmegaConf.to_container(hydra)]
    # Ranks that this one starts write no files.
    if given == without_secrets(given) or starting_rank() != 0:
        return
    hidden, files = hiding(config, hydra), [Path(hydra.sweep.dir) / "multirun.yaml"]
    if hydra.output_subdir is not None:
        files += (Path(hydra.runtime.output_dir) / hydra.output_subdir).glob("*.yaml")
    for path in files:
        if path.is_file():
            content = yaml.safe_load(path.read_text(encoding="utf-8"))
            with written_whole(path, "w", encoding="utf-8") as file:
                yaml.safe_dump(hidden(content), file, sort_keys=False, allow_unicode=True)


def _read_secret(path: str) -> str:
    return Path(path).expanduser().read_text(encoding="utf-8").strip()


OmegaConf.register_new_resolver("file", _read_secret, replace=True)


def _is_secret(name: str) -> bool:
    return bool(NAMES.search(_small(name)) or VARIABLES.fullmatch(name))


def _holds_secrets(name: str) -> bool:
    """Whether everything under a name is a secret."""
    return _small(name).endswith("headers") or _is_secret(name)


def _is_reference(value: str) -> bool:
    rest = REFERENCE.sub("", value)
    return rest != value and rest.strip().lower() in SCHEMES


def _small(name: str) -> str:
    return name.lower().replace("-", "_")


def map_texts(content: Any, change: Callable[[str], str]) -> Any:
    """Plain values with every text changed."""
    if isinstance(content, dict):
        return {key: map_texts(value, change) for key, value in content.items()}
    if isinstance(content, list):
        return [map_texts(value, change) for value in content]
    return change(content) if isinstance(content, str) else content


def _texts(content: Any) -> Iterator[str]:
    if isinstance(content, dict | list):
        for value in content.values() if isinstance(content, dict) else content:
            yield from _texts(value)
    elif content is not None:
        yield str(content)
