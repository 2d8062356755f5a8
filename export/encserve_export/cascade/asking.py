"""What two pipelines say of texts, asked of the server that serves them."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from encserve import Client, GrpcTransport
from encserve._messages import InferRequest, InferResponse
from encserve_export.errors import ExportError

from .members import MemberPipeline
from .texts import FittingText

_WARM_UP = 32
"""Texts that are asked about before the time is taken."""


class FreshTransport(GrpcTransport):
    """A channel whose requests are computed, also where the server has kept what it gave before."""

    def infer(self, request: InferRequest, *, timeout_s: float) -> InferResponse:
        """Answer one request."""
        fresh = replace(request, parameters={**request.parameters, "fresh": True})
        return super().infer(fresh, timeout_s=timeout_s)


@dataclass(frozen=True, kw_only=True)
class Said:
    """What a pipeline says of n texts."""

    labels: NDArray[np.str_]
    """(n,) the first label of each."""
    scores: NDArray[np.float32]
    """(n,) the score of that."""
    seconds_per_text: float
    """How long it took, of all that were asked in one call, in the lane `bulk`."""

    def of(self, rows: slice) -> Said:
        """Return what it says of some of the texts."""
        return replace(self, labels=self.labels[rows], scores=self.scores[rows])


def ask(client: Client, member: MemberPipeline, texts: Sequence[FittingText]) -> Said:
    """Ask a pipeline about each of the texts once, however often it is among them.

    Raises:
        ExportError: the server serves another version than is active in the repository.
        EncserveError: it does not answer.
    """
    name = member.manifest.name
    places = {each: place for place, each in enumerate(dict.fromkeys(texts))}
    words = [each.text for each in places]
    pairs = [each.pair for each in places] if member.manifest.pairs else None
    client.classify(words[:_WARM_UP], text_pairs=pairs and pairs[:_WARM_UP], model=name, version="active", top_k=1)
    began_s = time.perf_counter()
    answer = client.classify(words, text_pairs=pairs, model=name, version="active", priority="bulk", top_k=1)
    took_s = time.perf_counter() - began_s
    if answer.certificate != member.certificate:
        raise ExportError(
            f"the server serves version {answer.version} of {name} with another certificate than version "
            f"{member.manifest.version}, which is active in the repository: is it the server of that repository?"
        )
    rows = [places[each] for each in texts]
    return Said(
        labels=np.array([label for (label,) in answer.labels])[rows],
        scores=answer.scores[rows, 0],
        seconds_per_text=took_s / len(places),
    )
