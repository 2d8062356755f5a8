"""A copy of a pipeline with other settings, for a trial. What it computes stays the certified graph."""

import hashlib
import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from google.protobuf import text_format
from tritonclient.grpc import model_config_pb2

from encserve_loadtest.errors import InvalidPlan
from encserve_loadtest.served import role_of

CONFIG = "config.pbtxt"
MANIFEST = "manifest.json"
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
    """The settings of a pipeline.

    Raises:
        InvalidPlan: the repository has no such pipeline.
    """
    steps = _read_steps(repository, _read_config(repository, pipeline))
    tokenize, encode = steps["tokenize"], steps["encode"]
    step_settings = repository / encode.name / _version(encode) / STEP_SETTINGS
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
    """A temporary repository that serves one pipeline with other settings. Its large files are links.

    The manifest names the hash of every file, so a new token budget needs a new manifest, and a new certificate of it.
    """
    with TemporaryDirectory(prefix="encserve-plan-") as folder:
        copy = Path(folder)
        ensemble = _read_config(repository, pipeline)
        steps = _read_steps(repository, ensemble)
        for config in (ensemble, *steps.values()):
            _link_version(repository / config.name, copy / config.name, _version(config))
            config.max_batch_size = settings.max_batch_size
        _set_instances(steps["tokenize"], settings.tokenize_instances)
        encode = steps["encode"]
        _set_instances(encode, settings.encode_instances)
        encode.dynamic_batching.max_queue_delay_microseconds = settings.queue_delay_us
        if settings.token_budget is not None:
            _set_token_budget(copy, ensemble, encode, settings.token_budget)
        for config in (ensemble, *steps.values()):
            (copy / config.name / CONFIG).write_text(text_format.MessageToString(config), encoding="utf-8")
        yield copy


def _read_config(repository: Path, model: str) -> Any:
    path = repository / model / CONFIG
    try:
        return text_format.Parse(path.read_text(encoding="utf-8"), model_config_pb2.ModelConfig())
    except OSError as error:
        raise InvalidPlan(f"--tune needs the pipeline's repository (--repository): {path}: {error.strerror}") from error


def _read_steps(repository: Path, ensemble: Any) -> dict[str, Any]:
    """The configurations of "tokenize", "encode" and "head". The pipelines of several heads share one encode step."""
    models = [step.model_name for step in ensemble.ensemble_scheduling.step]
    return {role_of(model): _read_config(repository, model) for model in models}


def _version(config: Any) -> str:
    return str(config.version_policy.specific.versions[0])


def _instances(config: Any) -> int:
    return sum(group.count for group in config.instance_group) or 1


def _set_instances(config: Any, count: int) -> None:
    if not config.instance_group:
        config.instance_group.add()
    del config.instance_group[1:]
    config.instance_group[0].count = count


def _link_version(model: Path, copy: Path, version: str) -> None:
    (copy / version).mkdir(parents=True)
    for file in (model / version).iterdir():
        if file.is_file():
            (copy / version / file.name).symlink_to(file.resolve())


def _set_token_budget(copy: Path, ensemble: Any, encode: Any, token_budget: int) -> None:
    step_file = copy / encode.name / _version(encode) / STEP_SETTINGS
    manifest_file = copy / ensemble.name / _version(ensemble) / MANIFEST
    manifest = json.loads(manifest_file.read_text(encoding="utf-8"))
    digest = _rewrite(step_file, json.loads(step_file.read_text(encoding="utf-8")) | {"token_budget": token_budget})
    manifest["token_budget"] = token_budget
    manifest["files"][step_file.relative_to(copy).as_posix()] = digest
    ensemble.parameters["certificate"].string_value = _rewrite(manifest_file, manifest)


def _rewrite(link: Path, content: Any) -> str:
    """Put a file in the place of a link. Returns its sha256."""
    data = json.dumps(content, indent=2).encode()
    link.unlink()
    link.write_bytes(data)
    return hashlib.sha256(data).hexdigest()
