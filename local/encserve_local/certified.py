"""A version of a pipeline in a model repository, once its files were seen to be the certified ones."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from tritonclient.grpc import model_config_pb2 as pb

from encserve import ContractError, InvalidInput, ModelNotFound, PipelineInfo
from encserve._pipeline import CANDIDATE_KEY
from encserve_repository.config_text import is_pipeline, parameters_of
from encserve_repository.errors import NotThere, RepositoryError
from encserve_repository.layout import STEPS
from encserve_repository.manifest import Manifest
from encserve_repository.versions import active_config, certified_manifest, only_version, version_config

from .steps import StepFiles

ENGINE = "python"
"""The only engine whose encode step is code of ours; Triton's own backends run the others."""


@dataclass(frozen=True, kw_only=True)
class CertifiedVersion:
    """What runs, and by which names its tensors go from step to step."""

    info: PipelineInfo
    parameters: Mapping[str, str]
    """The parameters of its configuration, as a server tells them."""
    steps: Mapping[str, StepFiles]
    """By the names of `STEPS`."""
    head_inputs: Mapping[str, str]
    """Output of the encode step that its head reads -> what the head calls it."""


def read_version(repository: Path, name: str, version: int | None) -> CertifiedVersion:
    """Read a version of a pipeline, the active one without a number, after verifying all of its files.

    Raises:
        ModelNotFound: there is no such pipeline, or no such version of it.
        ContractError: a file is not the certified one, or the pipeline is of another contract.
        InvalidInput: it cannot be computed without Triton.
    """
    try:
        config = active_config(repository, name) if version is None else version_config(repository, name, version)
        if config is None or not is_pipeline(config):
            raise ModelNotFound(f"{repository} has no active version of a pipeline {name!r}", model=name)
        number = only_version(config)
        parameters = parameters_of(config)
        parameters.pop(CANDIDATE_KEY, None)  # a share of the callers gets it from a server
        info = PipelineInfo.from_parameters(name, parameters, version=str(number))
        _refuse_others(info, config)
        manifest = certified_manifest(repository, config)
    except NotThere as error:
        raise ModelNotFound(str(error), model=name, version=str(version or "")) from error
    except RepositoryError as error:
        raise ContractError(str(error), model=name) from error
    except OSError as error:
        raise ModelNotFound(f"the model repository {repository} cannot be read: {error}", model=name) from error
    models = [step.model_name for step in config.ensemble_scheduling.step]
    steps = {step: _files_of(repository, model, number, manifest) for step, model in zip(STEPS, models, strict=True)}
    encoded = config.ensemble_scheduling.step[STEPS.index("encode")].output_map
    return CertifiedVersion(
        info=info,
        parameters=parameters,
        steps=steps,
        head_inputs=dict(encoded),
    )


def _refuse_others(info: PipelineInfo, config: pb.ModelConfig) -> None:
    """Refuse what Triton alone can compute. Raises InvalidInput."""
    if len(config.ensemble_scheduling.step) != len(STEPS):
        raise InvalidInput(
            f"{info.name!r} is for {info.task}, whose one step is not computed in process: serve it with `encserve "
            "serve`",
            model=info.name,
        )
    if info.engine != ENGINE:
        raise InvalidInput(
            f"{info.name!r} has engine {info.engine}, a backend inside Triton, and only engine {ENGINE} is computed in "
            f"process: export it with --engine {ENGINE}, or serve it with `encserve serve`",
            model=info.name,
        )


def _files_of(repository: Path, model: str, version: int, manifest: Manifest) -> StepFiles:
    folder = f"{model}/{version}/"
    files = {path.removeprefix(folder): sha256 for path, sha256 in manifest.files.items() if path.startswith(folder)}
    return StepFiles(repository / folder, files)
