"""The candidates of pipelines, which a server that starts finds stated in its repository: versions that answer a share
of the callers beside the active ones. One that cannot be served must not keep an active version from serving."""

from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from pathlib import Path

from tritonclient.grpc import model_config_pb2 as pb

from encserve import Client, EncserveError, PipelineInfo
from encserve_repository import errors
from encserve_repository.activation import active_candidate, state_candidate
from encserve_repository.config_text import parameters_of
from encserve_repository.layout import candidate_model
from encserve_repository.versions import certified_manifest, version_config
from encserve_repository.work_folder import open_work_folder
from encserve_server.administration.candidate_ensemble import load_candidate
from encserve_server.administration.channel import Administration
from encserve_server.host.offers import check_pipelines
from encserve_server.questions import ask
from encserve_server.steps.encode.host.requirements import Host


def with_fit_candidates(
    repository: Path, pipelines: Iterable[PipelineInfo], host: Host, *, report: Callable[[str], None]
) -> list[PipelineInfo]:
    """The pipelines whose candidates can be served. Others, whose files are not the certified ones any more or which
    cannot run on this host, are taken back before Triton starts."""
    fit = []
    for pipeline in pipelines:
        if pipeline.candidate is None:
            continue
        version = pipeline.candidate.version
        try:
            config = version_config(repository, pipeline.name, int(version))
            certified_manifest(repository, config)
            info = PipelineInfo.from_parameters(pipeline.name, parameters_of(config), version=version)
            check_pipelines(repository, [info], host)
            fit.append(pipeline)
        except (EncserveError, errors.RepositoryError, OSError) as error:
            outcome = _taken_back(repository, pipeline.name)
            report(f"version {version} of {pipeline.name} is not served as its candidate, which {outcome}: {error}")
    return fit


def _taken_back(repository: Path, name: str) -> str:
    """Take a candidate back. Returns what became of that, in words."""
    try:
        work = open_work_folder(repository)
        with work.locked(name):
            state_candidate(work, name, None)
    except errors.RepositoryError as error:
        return f"stays stated, since {error}"
    except OSError as error:
        return f"stays stated, since {error.strerror}"
    return "it is no more"


def serve_candidates(
    repository: Path,
    pipelines: Iterable[PipelineInfo],
    *,
    administration: Administration,
    asker: Client,
    report: Callable[[str], None],
) -> None:
    """Have a server that has just started serve the candidates again. Where one does not answer the active version
    answers all, and it is reported."""
    for name, version, config in _stated(repository, pipelines):
        try:
            ask(asker, load_candidate(administration, name, config))
        except EncserveError as error:
            with suppress(EncserveError):
                administration.unload(candidate_model(name))
            report(f"version {version} of {name}, its candidate, does not answer; the active one answers all: {error}")


def candidate_models(repository: Path, pipelines: Iterable[PipelineInfo]) -> list[str]:
    """The models under which the candidates of pipelines are asked, as the repository has them now."""
    return [candidate_model(name) for name, _, _ in _stated(repository, pipelines)]


def _stated(repository: Path, pipelines: Iterable[PipelineInfo]) -> Iterator[tuple[str, int, pb.ModelConfig]]:
    for pipeline in pipelines:
        with suppress(errors.RepositoryError, OSError):
            if version := active_candidate(repository, pipeline.name):
                yield pipeline.name, version, version_config(repository, pipeline.name, version)
