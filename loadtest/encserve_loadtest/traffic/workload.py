"""What to send: requests of one pipeline, with the lengths of the user's texts."""

import asyncio
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from encserve import (
    AccessDenied,
    AsyncClient,
    AsyncGeneratedStream,
    Client,
    DeadlineExceeded,
    GeneratedStream,
    Generations,
    InvalidInput,
    ModelNotFound,
    PipelineInfo,
)
from encserve_loadtest.errors import InvalidPlan
from encserve_loadtest.traffic.corpus import Lengths, Mix, read_corpus
from encserve_loadtest.traffic.generator import Send, Streamed
from encserve_loadtest.traffic.made import check_most, made_lengths, options_of
from encserve_loadtest.traffic.tasks import Task, task_of
from encserve_loadtest.traffic.texts import Filler, grouped, probe_texts

MEASURED_TEXTS = 2_000
"""Texts of a sample whose tokens the model counts; of a larger sample that many are drawn."""

POOL_TEXTS = 4_000
"""Different texts that are sent, over and over."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Workload:
    """Requests for one pipeline, in random order."""

    pipeline: PipelineInfo
    task: Task
    corpus: str
    """Where the lengths come from."""
    requests: list[list[str]]
    """The texts of each request."""
    lengths: Lengths
    """Tokens per text, as the model sees them, (n,)."""
    made: Lengths | None = None
    """Of texts that are made, how many tokens those of each request have, (requests,); None as many as they become."""
    streams: bool = False
    """Whether they come piece by piece."""
    decisions: Counter[str] = field(default_factory=Counter)
    """Who decided about the texts that were answered, of a cascade: "small", "large" or "review"."""

    @property
    def escalated_share(self) -> float:
        """Share of the texts that were answered which went on to the large pipeline of a cascade; 0 of none."""
        texts = self.decisions.total()
        return 1 - self.decisions["small"] / texts if texts else 0.0

    def options(self, index: int) -> dict[str, Any]:
        """The options of request number i."""
        return {} if self.made is None else options_of(int(self.made[index % len(self.made)]))

    def sender(self, client: AsyncClient, *, timeout_s: float) -> Send:
        """The function that sends request number i; after the last comes the first again."""
        requests, task, model, decisions = self.requests, self.task, self.pipeline.name, self.decisions
        is_cascade = self.pipeline.cascade is not None

        async def send(index: int) -> int:
            texts = requests[index % len(requests)]
            answer = await task.call(client, texts, model=model, timeout_s=timeout_s, **self.options(index))
            if is_cascade:
                decisions.update(answer.decisions)
            return tokens_of(answer)

        async def stream(index: int) -> Streamed:
            (text,) = requests[index % len(requests)]
            clock = asyncio.get_running_loop().time
            given = {"model": model, "version": "active", "timeout_s": timeout_s, **self.options(index)}
            async with client.generate_stream(text, **given) as pieces:
                first_s = float("inf")
                async for _ in pieces:
                    first_s = min(first_s, clock())
            return Streamed(tokens_of_stream(pieces, model=model), first_s)

        return stream if self.streams else send


def tokens_of(answer: Any) -> int:
    """The tokens of an answer's texts, and of what was made of them."""
    made = answer.output_token_counts.sum() if isinstance(answer, Generations) else 0
    return int(answer.token_counts.sum() + made)


def tokens_of_stream(stream: GeneratedStream | AsyncGeneratedStream, *, model: str) -> int:
    """The tokens of an answer whose pieces have come to their end.

    Raises:
        DeadlineExceeded: its time was up before it was whole.
    """
    if stream.last is None or stream.finish == "deadline":
        raise DeadlineExceeded("the pieces that came within the time of the request are no whole answer", model=model)
    return tokens_of(stream.last)


def prepare_workload(client: Client, *, model: str, mix: Mix) -> Workload:
    """Read the corpus, let the model count its tokens, and make requests of it.

    Args:
        client: asks the server for the pipeline and for token counts.
        model: name of the pipeline.
        mix: which texts.

    Raises:
        InvalidPlan: the corpus or an option is malformed.
        ModelNotFound: the server has no such pipeline, or it is not ready.
        EncserveError: the server refused or failed.
    """
    rng = np.random.default_rng(mix.seed)
    sample = read_corpus(mix.corpus, rng=rng)
    pipeline = _pipeline(client, model)
    task = task_of(pipeline.task, model=model)
    if not 1 <= mix.texts_per_request <= pipeline.max_texts_per_request:
        limit = pipeline.max_texts_per_request
        raise InvalidPlan(f"texts per request is {mix.texts_per_request}, {model!r} takes 1 to {limit}")

    def count(texts: list[str]) -> Lengths:
        return np.asarray(task.call(client, texts, model=model, **task.to_count).token_counts, np.int64)

    if not task.makes_texts and (mix.made is not None or mix.streams):
        raise InvalidPlan(f"{model!r} is for {pipeline.task}, and makes no texts that have a length or a first token")
    if mix.keep_texts and not sample.texts:
        raise InvalidPlan(f"--keep-texts needs a corpus of texts, and {sample.source} has only lengths")
    texts, lengths = list(sample.texts), sample.lengths
    if lengths is None:
        texts = [texts[index] for index in rng.permutation(len(texts))[:MEASURED_TEXTS]]
        lengths = count(texts)
    if not mix.keep_texts:
        texts = _fillers(rng.choice(np.minimum(lengths, pipeline.max_length), POOL_TEXTS), count, rng)
    requests, made = grouped(texts, per_request=mix.texts_per_request), None
    if mix.made is not None:
        made = rng.choice(made_lengths(mix.made, rng=rng, count=count), len(requests))
        check_most(made, lambda longest: task.call(client, requests[0], model=model, **options_of(longest)))
    return Workload(
        pipeline=client.pipeline(model),  # which knows its version now
        task=task,
        corpus=sample.source + (", its own texts" if mix.keep_texts else ""),
        requests=requests,
        lengths=np.minimum(lengths, pipeline.max_length),
        made=made,
        streams=mix.streams,
    )


def _pipeline(client: Client, model: str) -> PipelineInfo:
    """What the pipeline says of itself, which needs no secret. Raises ModelNotFound, with the others where who asks may
    list them."""
    try:
        return client.pipeline(model)
    except ModelNotFound:
        try:
            served = ", ".join(each.name for each in client.models()) or "none"
        except (AccessDenied, InvalidInput):
            served = "who asks may not list them"
        raise ModelNotFound(
            f"the server has no pipeline {model!r} that is ready; those that are: {served}", model=model
        ) from None


def _fillers(lengths: Lengths, count: Callable[[list[str]], Lengths], rng: np.random.Generator) -> list[str]:
    return Filler.from_counts(count(probe_texts()).tolist()).texts(lengths, rng)
