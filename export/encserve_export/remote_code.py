"""Python code that a checkpoint brings. It runs only where the caller names the state of it that he has looked at."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from .config import ExportConfig
from .errors import InvalidConfig, Unsupported
from .manifest import sha256_of

_COMMIT = re.compile(r"[0-9a-f]{40}")


def check_commit(config: ExportConfig) -> None:
    """Raise InvalidConfig unless the code of a hub checkpoint is trusted by the commit that is asked for, if at all."""
    code = config.trust_remote_code
    if code is not None and not (code == config.revision and _COMMIT.fullmatch(code)):
        raise InvalidConfig(
            f"--trust-remote-code {code}: of a hub checkpoint it must be the whole commit, 40 hexadecimal digits, that "
            f"--revision names, which is {config.revision}"
        )


def trusted_code(folder: Path, config: ExportConfig) -> str | None:
    """The state of the code in `folder` that may run; None where none may.

    Raises:
        InvalidConfig: `config` trusts another state.
    """
    if config.trust_remote_code is not None and config.trust_remote_code != state_of(folder):
        raise InvalidConfig(
            f"--trust-remote-code {config.trust_remote_code}: that is not the code in {folder}: {hint(folder)}"
        )
    return config.trust_remote_code


def state_of(folder: Path) -> str:
    """The commit of a hub checkpoint. Of another folder the digest of its Python files, which is also what
    `find . -name '*.py' | LC_ALL=C sort | xargs sha256sum | sha256sum` says."""
    if _is_of_hub(folder):
        return folder.name
    files = sorted(folder.rglob("*.py"), key=lambda file: file.relative_to(folder).as_posix().encode())
    lines = [f"{sha256_of(file)}  ./{file.relative_to(folder).as_posix()}\n" for file in files]
    return hashlib.sha256("".join(lines).encode()).hexdigest()


def check_brought_code(stated: Mapping[str, Any], folder: Path, *, needed: bool, trusted: bool) -> None:
    """Refuse, by what a config.json states, code that is needed and not trusted, or that lies somewhere else.

    Raises:
        Unsupported: and nothing of it was run.
    """
    if trusted:
        for reference in _references(stated.get("auto_map", {})):
            if "--" in reference:
                raise Unsupported(
                    f"{folder} takes {reference} from another repository, whose code --trust-remote-code does not name"
                )
    elif needed and "auto_map" in stated and (_is_of_hub(folder) or any(folder.rglob("*.py"))):
        raise Unsupported(
            f"model type {stated.get('model_type')!r} needs Python code that {folder} brings, which is not run: "
            f"{hint(folder)}"
        )


def hint(folder: Path) -> str:
    """How to let the code of a checkpoint run."""
    return f"look at its .py files; if you trust them, give {_option(folder)}"


def _option(folder: Path) -> str:
    state = state_of(folder)
    revision = f"--revision {state} " if _is_of_hub(folder) else ""
    return f"{revision}--trust-remote-code {state}"


def _is_of_hub(folder: Path) -> bool:
    return folder.parent.name == "snapshots"


def _references(auto_map: Mapping[str, Any]) -> Iterator[str]:
    """The classes of an auto_map, of which tokenizers have two or one and None."""
    for value in auto_map.values():
        yield from filter(None, value if isinstance(value, list) else [value])
