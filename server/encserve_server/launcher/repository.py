"""The pipelines of a model repository that are active, and whether its files are still the certified ones."""

from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from encserve import PipelineInfo
from encserve_repository import errors
from encserve_repository.activation import narrow, pipelines_using, surplus
from encserve_repository.compiled import drop_damaged
from encserve_repository.config_text import is_pipeline, parameters_of, steps_of
from encserve_repository.versions import active_config, certified_manifest, model_names, only_version
from encserve_repository.work_folder import open_work_folder
from encserve_server.errors import RepositoryError

HOW_TO_EXPORT = "`encserve export CHECKPOINT --name NAME` makes one"


def read_pipelines(repository: Path, names: Sequence[str] = ()) -> tuple[PipelineInfo, ...]:
    """Return the pipelines `names`, or every pipeline of the repository, after verifying them.

    Raises:
        RepositoryError: there is no such repository or pipeline, or a file of it is not the certified one.
        ContractError: a pipeline has another version of the contract, or does not describe itself.
    """
    if not repository.is_dir():
        raise RepositoryError(f"the model repository {repository} is not a folder: {HOW_TO_EXPORT}")
    try:
        wanted = names or [name for name in model_names(repository) if _is_pipeline(repository, name)]
        if not wanted:
            raise RepositoryError(f"the model repository {repository} has no pipeline: {HOW_TO_EXPORT}")
        return tuple(_read_pipeline(repository, name) for name in dict.fromkeys(wanted))
    except errors.RepositoryError as error:
        raise RepositoryError(str(error)) from error
    except OSError as error:
        raise RepositoryError(f"the model repository {repository} cannot be read: {error}") from error


def _is_pipeline(repository: Path, name: str) -> bool:
    config = active_config(repository, name)
    return config is not None and is_pipeline(config)


def _read_pipeline(repository: Path, name: str) -> PipelineInfo:
    config = active_config(repository, name)
    if config is None:
        raise RepositoryError(f"the model repository {repository} has no pipeline {name!r}: {HOW_TO_EXPORT}")
    if not is_pipeline(config):
        raise RepositoryError(f"{repository / name} is no pipeline of encserve: {HOW_TO_EXPORT}")
    version = str(only_version(config))
    pipeline = PipelineInfo.from_parameters(name, parameters_of(config), version=version)
    certified_manifest(repository, config)
    return pipeline


def check_traces(repository: Path, pipelines: Sequence[PipelineInfo]) -> None:
    """See that the steps of `pipelines` know what a trace is, which a server that traces tells them of.

    Raises:
        RepositoryError: one is of an export before there were traces, and would refuse every request that has one.
    """
    for pipeline in pipelines:
        config = active_config(repository, pipeline.name)
        for model, version in steps_of(config).items() if config else ():
            folder = repository / model / str(version)
            if (folder / "model.py").exists() and not (folder / "request" / "traceparent.py").exists():
                raise RepositoryError(
                    f"version {pipeline.version} of {pipeline.name} was exported before encserve told of traces, and "
                    f"{model} refuses requests that have one: export it again, or leave out --otlp"
                )


def drop_what_is_not_active(repository: Path) -> None:
    """Let the steps load nothing but what is active, after promotions that kept the version before, or were killed.

    A repository that cannot be written, or whose pipeline is being exported or promoted, stays as it is.
    """
    with suppress(OSError, errors.RepositoryError):
        if steps := surplus(repository):
            work = open_work_folder(repository)
            with work.locked(*pipelines_using(repository, steps)):
                narrow(work, steps)


def drop_damaged_code(repository: Path, pipelines: Sequence[PipelineInfo]) -> None:
    """See that the steps of `pipelines` can be loaded again after the disk was full while they were."""
    for pipeline in pipelines:
        if config := active_config(repository, pipeline.name):
            drop_damaged(repository, steps_of(config))
