"""A copy of a pipeline with other settings, for a trial. What it computes stays the certified graph."""

import hashlib
import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from tritonclient.grpc import model_config_pb2 as pb

from encserve_loadtest.errors import InvalidPlan
from encserve_loadtest.measurement.served import role_of
from encserve_repository.config_text import pin_versions, read_config, set_certificate, steps_of, to_text
from encserve_repository.errors import RepositoryError
from encserve_repository.layout import CONFIG_FILE, MANIFEST_FILE, WARMUP_FOLDER
from encserve_repository.versions import only_version

STEP_SETTINGS = "settings.json"


@dataclass(frozen=True, kw_only=True)
class Settings:
    """What can be tuned without a new export of the graph."""

    tokenize_instances: int
    encode_instances: int
    max_batch_size: int
    """Requests per execution at most, of every step."""
    queue_delay_us: int
    """How long the encode step waits for others to share a batch."""
    token_budget: int | None
    """Tokens per micro-batch of the encode step; None where the engine has none."""


def read_settings(repository: Path, pipeline: str) -> Settings:
    """The settings of the active version of a pipeline.

    Raises:
        InvalidPlan: the repository has no such pipeline.
    """
    served = _read_served(repository, pipeline)
    tokenize, encode = served.step("tokenize"), served.step("encode")
    step_settings = repository / encode.name / str(served.versions[encode.name]) / STEP_SETTINGS
    budget = (
        json.loads(step_settings.read_text(encoding="utf-8")).get("token_budget") if step_settings.exists() else None
    )
    return Settings(
        tokenize_instances=_instances(tokenize),
        encode_instances=_instances(encode),
        max_batch_size=encode.max_batch_size,
        queue_delay_us=encode.dynamic_batching.max_queue_delay_microseconds,
        token_budget=budget,
    )


@contextmanager
def altered_repository(repository: Path, pipeline: str, settings: Settings) -> Iterator[Path]:
    """A temporary repository that serves the active version of one pipeline with other settings. Large files are links.

    The manifest names the hash of every file, so a new token budget needs a new manifest, and a new certificate of it.
    """
    with TemporaryDirectory(prefix="encserve-plan-") as folder:
        copy = Path(folder)
        served = _read_served(repository, pipeline)
        for config in (served.ensemble, *served.steps):
            version = served.versions[config.name]
            _link_files(repository / config.name / str(version), copy / config.name / str(version))
            warmup = repository / config.name / WARMUP_FOLDER
            if warmup.is_dir():  # its configuration names the files in it
                _link_files(warmup, copy / config.name / WARMUP_FOLDER)
            pin_versions(config, [version])  # after a promotion a step offers the version before, too
            config.max_batch_size = settings.max_batch_size
        encode = served.step("encode")
        _set_instances(served.step("tokenize"), settings.tokenize_instances)
        _set_instances(encode, settings.encode_instances)
        encode.dynamic_batching.max_queue_delay_microseconds = settings.queue_delay_us
        if settings.token_budget is not None:
            _set_token_budget(copy, served, settings.token_budget)
        for config in (served.ensemble, *served.steps):
            (copy / config.name / CONFIG_FILE).write_text(to_text(config), encoding="utf-8")
        yield copy


@dataclass(frozen=True, kw_only=True)
class _Served:
    """The active version of a pipeline."""

    ensemble: pb.ModelConfig
    steps: list[pb.ModelConfig]
    """The pipelines of several heads share one encode step."""
    versions: dict[str, int]
    """Of each model, the one that the ensemble names."""

    def step(self, role: str) -> pb.ModelConfig:
        """The step that does this: "tokenize", "encode", "head"."""
        return next(config for config in self.steps if role_of(config.name) == role)


def _read_served(repository: Path, pipeline: str) -> _Served:
    try:
        ensemble = read_config(repository / pipeline / CONFIG_FILE)
        versions = steps_of(ensemble)
        steps = [read_config(repository / model / CONFIG_FILE) for model in versions]
        return _Served(ensemble=ensemble, steps=steps, versions=versions | {pipeline: only_version(ensemble)})
    except OSError as error:
        raise InvalidPlan(
            f"--tune needs the pipeline's repository (--repository): {error.filename}: {error.strerror}"
        ) from error
    except RepositoryError as error:
        raise InvalidPlan(f"--tune needs the pipeline's repository (--repository): {error}") from error


def _instances(config: pb.ModelConfig) -> int:
    return sum(group.count for group in config.instance_group) or 1


def _set_instances(config: pb.ModelConfig, count: int) -> None:
    if not config.instance_group:
        config.instance_group.add()
    del config.instance_group[1:]
    config.instance_group[0].count = count


def _link_files(folder: Path, copy: Path) -> None:
    copy.mkdir(parents=True)
    for file in folder.rglob("*"):
        if file.is_file() and file.parent.name != "__pycache__":
            link = copy / file.relative_to(folder)
            link.parent.mkdir(parents=True, exist_ok=True)
            link.symlink_to(file.resolve())


def _set_token_budget(copy: Path, served: _Served, token_budget: int) -> None:
    encode, ensemble = served.step("encode").name, served.ensemble.name
    step_file = copy / encode / str(served.versions[encode]) / STEP_SETTINGS
    manifest_file = copy / ensemble / str(served.versions[ensemble]) / MANIFEST_FILE
    manifest = json.loads(manifest_file.read_text(encoding="utf-8"))
    digest = _rewrite(step_file, json.loads(step_file.read_text(encoding="utf-8")) | {"token_budget": token_budget})
    manifest["token_budget"] = token_budget
    manifest["files"][step_file.relative_to(copy).as_posix()] = digest
    set_certificate(served.ensemble, _rewrite(manifest_file, manifest))


def _rewrite(link: Path, content: Any) -> str:
    """Put a file in the place of a link. Returns its sha256."""
    data = json.dumps(content, indent=2).encode()
    link.unlink()
    link.write_bytes(data)
    return hashlib.sha256(data).hexdigest()
