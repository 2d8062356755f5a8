"""Python code that a checkpoint brings. It runs only where the caller names the state of it that he has looked at."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterator
from pathlib import Path

from encserve_export.config import ExportConfig
from encserve_export.errors import InvalidConfig, Unsupported
from encserve_repository.manifest import sha256_of

_COMMIT = re.compile(r"[0-9a-f]{40}")
_STATING = ("config.json", "tokenizer_config.json")
"""The files that may say, as `auto_map`, which classes of a checkpoint's code transformers is to use."""


def check_commit(config: ExportConfig) -> None:
    """Raise InvalidConfig unless the code of a hub checkpoint is trusted by the commit that is asked for, if at all."""
    code = config.trust_remote_code
    if code is not None and not (code == config.revision and _COMMIT.fullmatch(code)):
        raise InvalidConfig(
            f"--trust-remote-code {code}: of a hub checkpoint it must be the whole commit, 40 hexadecimal digits, that "
            f"--revision names, which is {config.revision}"
        )


def check_trusted_code(folder: Path, config: ExportConfig) -> None:
    """Refuse to run any other code than that which `config` names.

    Raises:
        InvalidConfig: `config` trusts another state.
        Unsupported: some of the code lies in another repository, or there is none.
    """
    code = config.trust_remote_code
    if code is None:
        return
    if (why_not := _why_it_cannot_run(folder, config)) is not None:
        raise Unsupported(f"--trust-remote-code {code}: {why_not}")
    if code != state_of(folder, config):
        raise InvalidConfig(f"--trust-remote-code {code}: that is not the code in {folder}: {hint(folder, config)}")


def state_of(folder: Path, config: ExportConfig) -> str:
    """The commit of a hub checkpoint. Of a local folder the digest of its Python files, which is also what
    `find . -name '*.py' | LC_ALL=C sort | xargs sha256sum | sha256sum` says."""
    if not _is_local(config):
        return folder.name
    files = sorted(folder.rglob("*.py"), key=lambda file: file.relative_to(folder).as_posix().encode())
    lines = [f"{sha256_of(file)}  ./{file.relative_to(folder).as_posix()}\n" for file in files]
    return hashlib.sha256("".join(lines).encode()).hexdigest()


def refuse_needed_code(model_type: str | None, folder: Path, config: ExportConfig) -> None:
    """Raise Unsupported, with how to run it, where `folder` names code for a model type that transformers does not
    know. Of a hub checkpoint only the trusted code is downloaded, so its word is taken for it."""
    if list(_references(folder)):
        raise Unsupported(
            f"model type {model_type!r} needs Python code that {folder} names, which is not run: {hint(folder, config)}"
        )


def hint(folder: Path, config: ExportConfig) -> str:
    """How to let the code of a checkpoint run, or what must be done before it can."""
    if (why_not := _why_it_cannot_run(folder, config)) is not None:
        return why_not
    state = state_of(folder, config)
    revision = "" if _is_local(config) else f"--revision {state} "
    return f"look at its .py files; if you trust them, give {revision}--trust-remote-code {state}"


def _why_it_cannot_run(folder: Path, config: ExportConfig) -> str | None:
    """What keeps the code from running, whoever trusts it; None where nothing does."""
    elsewhere = sorted({reference.split("--")[0] for reference in _references(folder) if "--" in reference})
    if elsewhere:
        return (
            f"its code lies in another repository, {', '.join(elsewhere)}, which --trust-remote-code cannot name. Put "
            f"the .py files of that repository beside config.json in a local copy of the checkpoint, and take "
            f"'{elsewhere[0]}--' out of auto_map there; then it can be looked at and trusted"
        )
    if _is_local(config) and not any(folder.rglob("*.py")):
        return f"{folder} has none of the .py files that auto_map names; put them beside config.json"
    return None


def _is_local(config: ExportConfig) -> bool:
    return Path(config.checkpoint).is_dir()


def _references(folder: Path) -> Iterator[str]:
    """The classes that a checkpoint's files name. Of a tokenizer there are two, or one and None."""
    for file in (folder / name for name in _STATING):
        stated = json.loads(file.read_text(encoding="utf-8")) if file.is_file() else {}
        for value in stated.get("auto_map", {}).values():
            yield from filter(None, value if isinstance(value, list) else [value])
