"""The question that shows whether a pipeline works: a real one, about one short text.

The door of a pipeline lets this question in however much waits, since it shows that it comes from the operator of the
server; a server that is overloaded still answers it, and one that is dead does not.
"""

import hashlib
import hmac
import time
from collections.abc import Callable
from dataclasses import replace

from encserve import Client, PipelineInfo, Retry, Tls, local_admin_secret
from encserve._messages import InferRequest, InferResponse
from encserve_server.errors import StartFailed
from encserve_server.host.own_address import OwnHostTransport
from encserve_server.steps.request.health import PARAMETER
from encserve_server.steps.request.traceparent import NOT_TRACED
from encserve_server.steps.request.traceparent import PARAMETER as TRACEPARENT

QUESTIONS: dict[str, Callable[[Client, PipelineInfo, str], object]] = {
    "feature-extraction": lambda client, pipeline, text: client.embed([text], model=pipeline.name, version="active"),
    "token-embedding": lambda client, pipeline, text: client.embed_tokens(
        [text], model=pipeline.name, version="active"
    ),
    "late-interaction": lambda client, pipeline, text: client.embed_tokens(
        [text], model=pipeline.name, version="active"
    ),
    "hybrid-embedding": lambda client, pipeline, text: client.embed_hybrid(
        [text], model=pipeline.name, version="active"
    ),
    "sparse-embedding": lambda client, pipeline, text: client.embed_sparse(
        [text], model=pipeline.name, version="active"
    ),
    "text-classification": lambda client, pipeline, text: client.classify(
        [text], text_pairs=[text] if pipeline.pairs else None, model=pipeline.name, version="active"
    ),
    "text-ranking": lambda client, pipeline, text: client.rerank(text, [text], model=pipeline.name, version="active"),
    "token-classification": lambda client, pipeline, text: client.classify_tokens(
        [text], model=pipeline.name, version="active"
    ),
    "question-answering": lambda client, pipeline, text: client.answer(
        text, text, model=pipeline.name, version="active"
    ),
    "fill-mask": lambda client, pipeline, text: client.fill_mask(
        [f"{text} {pipeline.mask_token}"], model=pipeline.name, version="active"
    ),
    "zero-shot-classification": lambda client, pipeline, text: client.classify_zero_shot(
        [text], ["ready"], model=pipeline.name, version="active"
    ),
    "zero-shot-token-classification": lambda client, pipeline, text: client.extract_entities(
        [text], ["ready"], model=pipeline.name, version="active"
    ),
    "text2text-generation": lambda client, pipeline, text: client.generate(
        [text], model=pipeline.name, version="active", max_new_tokens=1, min_new_tokens=0
    ),
}
"""One question per task, to a pipeline about a text."""


def ask(client: Client, pipeline: PipelineInfo) -> None:
    """Ask one question, of the kind that the task of `pipeline` wants.

    Raises:
        TransportError: no answer came, for now.
        StartFailed: there is no question for this task.
        EncserveError: the pipeline answered with an error.
    """
    if pipeline.task not in QUESTIONS:
        raise StartFailed(
            f"pipeline {pipeline.name} has the task {pipeline.task!r}; this encserve serves {', '.join(QUESTIONS)}"
        )
    # Never the same text: the encode step keeps the rows of recent ones, and the network is what is asked.
    QUESTIONS[pipeline.task](client, pipeline, f"ready {time.time_ns()}")


def health_token(admin_secret: str) -> str:
    """Return the token that shows that a question is one of health. It tells an eavesdropper nothing of the secret."""
    return hmac.new(admin_secret.encode(), b"encserve health", hashlib.sha256).hexdigest()


class HealthTransport(OwnHostTransport):
    """A channel whose requests are questions of health, where the secret of the server is known."""

    def __init__(
        self, url: str, *, tls: Tls | None, api_key: str | None = None, admin_secret: str | None = None
    ) -> None:
        super().__init__(url, tls=tls, api_key=api_key, admin_secret=admin_secret)
        secret = admin_secret or local_admin_secret(url)
        self._parameters = {PARAMETER: health_token(secret)} if secret else {}

    def infer(self, request: InferRequest, *, timeout_s: float) -> InferResponse:
        """Ask one question, as callers do: with a trace, which a server that traces hands to the steps, and these must
        know what it is."""
        question = replace(
            request,
            parameters={**request.parameters, **self._parameters},
            metadata=(*request.metadata, (TRACEPARENT, NOT_TRACED)),
        )
        return super().infer(question, timeout_s=timeout_s)


def open_asker(
    url: str, *, tls: Tls | None, timeout_s: float, api_key: str | None = None, admin_secret: str | None = None
) -> Client:
    """A client that asks each question once."""
    transport = HealthTransport(url, tls=tls, api_key=api_key, admin_secret=admin_secret)
    return Client(timeout_s=timeout_s, retry=Retry(attempts=1), transport=transport)
