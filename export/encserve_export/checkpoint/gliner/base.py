"""The encoder that a GLiNER checkpoint was trained from: where its own files do not say how that is made, or how it
reads texts."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from huggingface_hub import snapshot_download
from huggingface_hub.errors import HfHubHTTPError, LocalEntryNotFoundError

from encserve_export.checkpoint.source import FILES, reading_digest
from encserve_export.errors import CheckpointError, InvalidConfig

from .layout import GLINER, GlinerSettings

TOKENIZER = "tokenizer_config.json"


@dataclass(frozen=True)
class Base:
    """An encoder that a checkpoint names, of which the configuration or the tokenizer is read."""

    name: str
    """The hub id, or the name of the folder."""
    folder: Path
    """Where it lies."""
    revision: str | None
    """The commit; None of a folder."""

    @property
    def record(self) -> dict[str, str | None]:
        """What the manifest says of it: of a folder, which may change, the digest of what is read, too; not where it
        lies."""
        files = {} if self.revision else {"files": reading_digest(self.folder)}
        return {"source": self.name, "revision": self.revision, **files}


def base_of(folder: Path, settings: GlinerSettings, revision: str | None) -> Base | None:
    """What the checkpoint in `folder` was trained from, at the commit or tag `revision`, or the newest one of the hub;
    None where its own files say all.

    Raises:
        CheckpointError: the hub does not give it, or it would be a folder by chance.
        InvalidConfig: a revision where there is nothing to choose.
    """
    if settings.encoder is not None and (folder / TOKENIZER).is_file():
        if revision is not None:
            raise InvalidConfig(
                f"--base-revision {revision}: {folder} has the configuration of its encoder and its tokenizer itself"
            )
        return None
    named = Path(settings.encoder_name)
    if named.is_absolute():
        if revision is not None:
            raise InvalidConfig(f"--base-revision {revision}: {named} is a local folder, which has no revisions")
        return Base(named.resolve().name, named, None)
    if named.is_dir():
        raise CheckpointError(
            f"{folder / GLINER} names {settings.encoder_name!r} as its encoder, and where this runs there is a folder "
            "of that name, which would be taken for it: run it elsewhere, or state the whole path"
        )
    try:
        found = Path(snapshot_download(settings.encoder_name, revision=revision, allow_patterns=FILES))
    except (HfHubHTTPError, LocalEntryNotFoundError, OSError, ValueError) as error:
        reason = str(error).strip().splitlines()[0]
        raise CheckpointError(
            f"{folder / GLINER} names {settings.encoder_name!r} as its encoder, and the hub does not give it: {reason}"
        ) from error
    return Base(settings.encoder_name, found, found.name)
