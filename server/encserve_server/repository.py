"""The pipelines of a model repository, and whether its files are still the certified ones."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import Any

from google.protobuf import text_format
from tritonclient.grpc import model_config_pb2

from encserve import PipelineInfo
from encserve_server.errors import RepositoryError

MARK = "encserve_contract"  # the parameter that makes a Triton model a pipeline of encserve
HOW_TO_EXPORT = "`encserve export CHECKPOINT --name NAME` makes one"


def read_pipelines(repository: Path, names: Sequence[str] = ()) -> tuple[PipelineInfo, ...]:
    """Read and verify the pipelines `names`, or every pipeline of the repository.

    Raises:
        RepositoryError: there is no such repository or pipeline, or a file of it is not the certified one.
        ContractError: a pipeline has another version of the contract, or does not describe itself.
    """
    if not repository.is_dir():
        raise RepositoryError(f"the model repository {repository} is not a folder: {HOW_TO_EXPORT}")
    try:
        # Hidden folders belong to exports that are under way.
        configs = {path.parent.name: _read_config(path) for path in sorted(repository.glob("[!.]*/config.pbtxt"))}
        wanted = names or [name for name, config in configs.items() if MARK in config.parameters]
        if not wanted:
            raise RepositoryError(f"the model repository {repository} has no pipeline: {HOW_TO_EXPORT}")
        return tuple(_read_pipeline(repository, name, configs.get(name)) for name in dict.fromkeys(wanted))
    except OSError as error:
        raise RepositoryError(f"the model repository {repository} cannot be read: {error}") from error


def _read_config(path: Path) -> Any:
    try:
        return text_format.Parse(path.read_text(encoding="utf-8"), model_config_pb2.ModelConfig())
    except (text_format.ParseError, UnicodeDecodeError) as error:
        raise RepositoryError(f"{path} is no Triton model configuration: {error}") from error


def _read_pipeline(repository: Path, name: str, config: Any) -> PipelineInfo:
    if config is None:
        raise RepositoryError(f"the model repository {repository} has no pipeline {name!r}: {HOW_TO_EXPORT}")
    if MARK not in config.parameters:
        raise RepositoryError(f"{repository / name} is no pipeline of encserve: {HOW_TO_EXPORT}")
    versions = list(config.version_policy.specific.versions)
    if len(versions) != 1:
        raise RepositoryError(f"pipeline {name} must pin one version in its version_policy, it pins {versions}")
    parameters = {key: value.string_value for key, value in config.parameters.items()}
    pipeline = PipelineInfo.from_parameters(name, parameters, version=str(versions[0]))
    manifest = repository / name / pipeline.version / "manifest.json"
    _check_hash(manifest, pipeline.certificate)
    verify_files(repository, json.loads(manifest.read_bytes())["files"])
    return pipeline


def verify_files(repository: Path, files: Mapping[str, str]) -> None:
    """Compare files with their sha256, by path within the repository. Raises RepositoryError."""
    for relative, sha256 in files.items():
        parts = PurePosixPath(relative)
        if parts.is_absolute() or ".." in parts.parts:  # a link may lead elsewhere: what it leads to is hashed
            raise RepositoryError(f"a manifest in {repository} lists {relative!r}, which is outside the repository")
        _check_hash(repository / parts, sha256)


def _check_hash(path: Path, expected: str) -> None:
    if not path.is_file():
        raise RepositoryError(f"{path} is missing (expected sha256 {expected}): export the pipeline again")
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while chunk := file.read(1 << 20):
            digest.update(chunk)
    if digest.hexdigest() != expected:
        raise RepositoryError(
            f"{path} is not the certified file: expected sha256 {expected}, found {digest.hexdigest()}: "
            "export the pipeline again"
        )
