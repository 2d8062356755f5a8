"""Cascades with thresholds that a test chooses: what is served is tested apart from what is fitted."""

from contextlib import nullcontext
from unittest import mock

from encserve_export.cascade import cascade
from encserve_export.cascade.config import CascadeConfig
from encserve_export.cascade.fitting import FittedCascade
from encserve_export.cascade.thresholds import Fitted


def publish_cascade(repository, name, *, small, large, threshold, review_threshold, folder):
    """Publish a cascade of two pipelines that nobody was asked about."""
    texts = folder / f"{name}.txt"
    texts.write_text("a text\n" * 300)  # as many as the agreement needs
    config = CascadeConfig(name=name, small=small, large=large, texts=texts, repository=repository)
    chosen, review = (
        None if value is None else Fitted(threshold=float(value), texts=400, sure=200, wrong=0, bound=0.0075)
        for value in (threshold, review_threshold)
    )
    fitted = FittedCascade(threshold=chosen, review=review, reviewed=0.25, small_seconds=0.001, large_seconds=0.004)
    with mock.patch.object(cascade, "ask"), mock.patch.object(cascade, "fit_cascade", return_value=fitted):
        return cascade.make_cascade(config, None, stage=lambda doing: nullcontext(), say=print)
