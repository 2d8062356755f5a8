"""Cascades that will refuse their callers, since a pipeline of theirs is served in another version or not at all."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from encserve import PipelineInfo


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
