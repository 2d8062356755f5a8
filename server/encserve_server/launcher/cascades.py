"""Cascades of which a pipeline is not served as they were fitted to it: in another version, or not at all."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from encserve import PipelineInfo
from encserve_server.errors import RepositoryError


def check_cascades(pipelines: Sequence[PipelineInfo]) -> None:
    """See that each cascade has its small pipeline beside it, in whatever version, among the `pipelines` that are to be
    served.

    Raises:
        RepositoryError: one has not. It could answer nobody, the questions of health among them.
    """
    served = {pipeline.name for pipeline in pipelines}
    for pipeline in pipelines:
        if pipeline.cascade is not None and pipeline.cascade.small not in served:
            small = pipeline.cascade.small
            raise RepositoryError(
                f"the cascade {pipeline.name} asks {small} about every text, and that is not served: serve it too, or "
                f"leave {pipeline.name} out by naming the others with --model"
            )


def unfit_cascades(pipelines: Sequence[PipelineInfo]) -> Iterator[str]:
    """Yield a sentence for each pipeline of a cascade that is not served as that was fitted to it, by the `pipelines`
    that are served."""
    served = {pipeline.name: pipeline.version for pipeline in pipelines}
    for pipeline in pipelines:
        if pipeline.cascade is None:
            continue
        fitted = {
            pipeline.cascade.small: pipeline.cascade.small_version,
            pipeline.cascade.large: pipeline.cascade.large_version,
        }
        for name, version in fitted.items():
            if served.get(name) != version:
                now = f"version {served[name]} is served" if name in served else "it is not served"
                yield (
                    f"the cascade {pipeline.name} refuses its callers: it was fitted to version {version} of {name}, "
                    f"and {now}"
                )
