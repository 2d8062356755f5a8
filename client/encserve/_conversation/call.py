"""One call of a verb: its texts and options, checked, and what becomes of them on the way to a server and back."""

from __future__ import annotations

import json
from collections.abc import AsyncIterable, Hashable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any, Generic, TypeAlias

from encserve._conversation.chunks import SPECIAL_TOKENS, Chunk, Chunker, ChunkLimits, chunks_of
from encserve._conversation.deadline import Deadline
from encserve._conversation.pin import FirstVersion, Pin
from encserve._errors import InvalidInput
from encserve._messages import InferRequest, InferResponse, Parameter
from encserve._pipeline import PipelineInfo
from encserve._results import Gather, Part
from encserve._texts import check_collection, check_texts, encode_text
from encserve._verbs.answers import COUNTS, AnswerReader
from encserve._verbs.verb import Verb

MOST_INTERACTIVE_TEXTS = 1_024
"""A call about more texts goes in bulk unless it says otherwise: nobody waits for each of so many answers, and others
must not wait for all of them."""

Texts: TypeAlias = Iterable[str] | AsyncIterable[str]
"""Texts, which `AsyncClient.embed_iter` also takes from an asynchronous iterator."""


@dataclass(frozen=True, kw_only=True)
class Call(Generic[Part]):
    """The arguments of one call.

    Raises:
        InvalidInput: an argument has the wrong type or an impossible value. The texts themselves are not looked at yet.
    """

    verb: Verb[Part]
    model: str
    given: Mapping[str, Parameter]
    """The options of the pipeline that the caller gave."""
    texts: Texts
    """What is split into requests."""
    by_text: Mapping[str, tuple[Any, ...]] = field(default_factory=dict)
    """The options of the pipeline that have a value for each text."""
    pairs: Sequence[str] | None = None
    """The second text of each; in a verb about pairs."""
    shared: str = ""
    """The one first text that goes with each of `texts`, which then are the second ones."""
    end: Deadline
    """The end of the call, made when the call was."""
    timeout_is_its_own: bool = False
    """Whether the caller gave this call a timeout."""
    priority: str | None = None
    """The lane that the caller asked for; None leaves it to the number of texts."""
    progress: bool = False
    metadata: tuple[tuple[str, str], ...] = ()
    """What travels with each request beside its message."""
    pin: Pin | None = None
    """The version that must answer; None for the one that the server chooses."""
    caller: str | None = None
    """Who asks, for a pipeline with a candidate."""
    version_wanted: str | None = None
    """"active" or "candidate"; None leaves it to the caller."""
    first_version: FirstVersion | None = None
    """The version that is to answer all of the call, where its rows are handed over as they come."""

    def __post_init__(self) -> None:
        if not isinstance(self.texts, AsyncIterable):
            check_collection(self.texts)
        if not isinstance(self.model, str) or not self.model:
            raise InvalidInput(f"model is {self.model!r}, expected the name of a pipeline")
        for name, values in self.by_text.items():
            if self.total is None:
                raise InvalidInput(f"{name} is a list, and texts is an iterator: give a list of texts, or one {name}")
            if len(values) != self.total:
                raise InvalidInput(f"{name} has {len(values)} values for {self.total} texts, expected one for each")

    @property
    def total(self) -> int | None:
        """How many texts it has; None where they come from an iterator."""
        return len(self.texts) if isinstance(self.texts, Sequence) else None

    @cached_property
    def lane(self) -> str:
        """The lane that its requests wait in."""
        few = self.total is not None and self.total * self.verb.rows_per_text(self.given) <= MOST_INTERACTIVE_TEXTS
        return self.priority or ("interactive" if few else "bulk")

    @property
    def deadline(self) -> Deadline:
        """The end of the next thing that is done for it: the end of the call, or where a call in bulk has no
        timeout of its own, the client's timeout from now."""
        if self.timeout_is_its_own or self.lane == "interactive":
            return self.end
        return Deadline(self.end.timeout_s)

    @property
    def version(self) -> str:
        """The version that must answer; empty for the one that the server chooses."""
        return self.pin.version if self.pin else ""

    @property
    def target(self) -> str:
        """The Triton model that is asked: that of the pipeline, or of its candidate."""
        return (self.pin.model if self.pin else "") or self.model

    def on(self, pin: Pin | None) -> Call[Part]:
        """The same call, to be answered by one version."""
        return replace(self, pin=pin)

    def check(self, pipeline: PipelineInfo) -> None:
        """Refuse what the pipeline cannot answer. A list of texts is looked through, an iterator is not.

        Raises:
            InvalidInput: the pipeline has another task, or a text is refused.
        """
        verb, most = self.verb.of_task(pipeline.task), pipeline.max_bytes_per_text
        if pipeline.task not in verb.tasks:
            raise InvalidInput(
                f"{self.model!r} is for {pipeline.task}, {verb.name} needs {' or '.join(verb.tasks)}", model=self.model
            )
        paired = self.pairs is not None or bool(verb.shared and not verb.shared_first)
        if pipeline.pairs != paired:
            wants = "wants a second text for each" if pipeline.pairs else "takes single texts, no pairs"
            raise InvalidInput(f"{self.model!r} {wants}", model=self.model)
        self.verb.fits(pipeline, self.given)
        for texts, name in ((self.texts, verb.split), (self.pairs, "text_pair")):
            if isinstance(texts, Sequence):
                check_texts(texts, max_bytes=most, name=name)
        if verb.shared:
            encode_text(self.shared, max_bytes=most, name=verb.shared)

    def _prompted(self, pipeline: PipelineInfo) -> bool:
        """Whether each text may get a prompt; "" is none."""
        if "instruction" in pipeline.option_defaults:  # who takes one has a template around each text
            return True
        if "prompt" in self.given:
            return bool(self.given["prompt"])
        of_kind = "input_type" in pipeline.option_defaults and bool(pipeline.prompt_names)
        return bool(self.given.get("prompt_name", pipeline.option_defaults.get("prompt_name") or of_kind))

    def _prompt_tokens(self, pipeline: PipelineInfo) -> int:
        """No fewer tokens than the prompt of each text has: as many as its bytes where it is written out, and of one
        that has a name as many as the network sees."""
        if not self._prompted(pipeline):
            return 0
        written = self.given.get("prompt")
        return len(written.encode(errors="replace")) if isinstance(written, str) else pipeline.max_length

    def limits(self, pipeline: PipelineInfo, texts_per_request: int) -> ChunkLimits:
        """What one request may carry, where the client wants no more than `texts_per_request` in it."""
        verb = self.verb.of_task(pipeline.task)
        rows, shared = verb.rows_per_text(self.given), len(self.shared.encode())
        most_texts, most_tokens = pipeline.max_texts_per_request, pipeline.max_tokens_per_request
        if verb.shared_first:  # it is there once, and counts like the others
            most_texts -= 1
            most_tokens -= min(pipeline.max_length, shared + SPECIAL_TOKENS + pipeline.added_tokens)
            shared = 0
        return ChunkLimits(
            max_texts=max(1, min(texts_per_request, most_texts) // rows),
            max_tokens=most_tokens,
            max_length=pipeline.max_length,
            max_bytes_per_text=pipeline.max_bytes_per_text,
            shared_bytes=shared,
            added_tokens=pipeline.added_tokens + verb.tokens_ahead(self.given),
            prompt_tokens=self._prompt_tokens(pipeline),
            rows_per_text=rows,
            in_windows=self._in_windows,
            copied=verb.copied,
        )

    def chunks(self, limits: ChunkLimits) -> Iterator[Chunk] | Chunker:
        """The chunks of a list of texts; for an iterator, which may pause, what gathers its texts into chunks."""
        return self.chunks_of_list(limits) if isinstance(self.texts, Sequence) else Chunker(limits)

    def chunks_of_list(self, limits: ChunkLimits) -> Iterator[Chunk]:
        """The chunks of texts that are all there."""
        assert isinstance(self.texts, Sequence)
        return chunks_of(self.texts, limits, pairs=self.pairs, answers=self._answers)

    def smaller(self, chunk: Chunk, limits: ChunkLimits) -> Iterator[Chunk]:
        """The texts of a chunk in chunks under other limits. Raises InvalidInput."""
        pairs = [pair.decode() for pair in chunk.pairs] or None
        texts = [text.decode() for text in chunk.texts]
        answers = self._answers[chunk.start : chunk.start + len(texts)]
        return chunks_of(texts, limits, pairs=pairs, answers=answers, start=chunk.start)

    @property
    def mergeable(self) -> Hashable | None:
        """Calls for which this is equal ask the same about their texts, and may share a request; None: never."""
        if self.verb.shared or self.verb.decoupled:  # of generated texts the longest would keep all others waiting
            return None
        if self.by_text:
            return None
        return (
            self.target,
            self.version,
            self.first_version,
            self.verb.name,
            frozenset(self.given.items()),
            self.pairs is not None,
            self.lane,
            self.end.timeout_s,
            self.metadata,
        )

    def request(self, chunk: Chunk, pipeline: PipelineInfo, request_id: str) -> InferRequest:
        """The request for a chunk."""
        verb = self.verb.of_task(pipeline.task)
        inputs: dict[str, Any] = {"text": chunk.texts}
        if verb.shared_first:
            inputs = {"text": [self.shared.encode(), *chunk.texts]}
        elif verb.shared:
            inputs = {"text": [self.shared.encode()], "text_pair": chunk.texts}
        elif self.pairs is not None:
            inputs["text_pair"] = chunk.pairs
        # Pipelines of earlier exports have one lane.
        lane = {"lane": self.lane} if self.lane != pipeline.option_defaults.get("lane", self.lane) else {}
        return InferRequest(
            model=self.target,
            model_version=self.version,
            inputs=inputs,
            outputs=(
                *verb.outputs(self.given),
                *verb.outputs_of(pipeline),
                *COUNTS,
                *(("window_count",) if self._in_windows else ()),
            ),
            parameters={**verb.always, **self.given, **self._own(chunk), **lane},
            request_id=request_id,
            metadata=self.metadata,
            decoupled=verb.decoupled,
        )

    def part(self, response: InferResponse, chunk: Chunk, pipeline: PipelineInfo) -> Part:
        """The part of the result in the answer to a chunk, from a pipeline of the version that answered."""
        return self._read(response, pipeline, rows=len(chunk.texts), start=chunk.start)

    def nothing(self, pipeline: PipelineInfo) -> Part:
        """The answer to an empty list of texts."""
        return self._read(InferResponse(model=self.model, version="", tensors={}), pipeline, rows=0, start=0)

    def _read(self, response: InferResponse, pipeline: PipelineInfo, **about: int) -> Part:
        if response.model != self.model:  # of the candidate
            response = replace(response, model=self.model)
        verb = self.verb.of_task(pipeline.task)
        return verb.decode(AnswerReader(response=response, given=self.given, pipeline=pipeline, **about))

    def gather(self) -> Gather[Part]:
        """What joins the parts of a list of texts."""
        return self.verb.gather(self.total or 0, self.given)

    def _own(self, chunk: Chunk) -> dict[str, Parameter]:
        """The options that each text of a chunk has a value of its own of: JSON lists, as the protocol has none."""
        end = chunk.start + len(chunk.texts)
        return {name: json.dumps(values[chunk.start : end]) for name, values in self.by_text.items()}

    @property
    def _answers(self) -> list[int]:
        """How many answers each text gets, where that is counted."""
        return list(map(len, self.by_text.get(self.verb.answered_by, ())))

    @property
    def _in_windows(self) -> bool:
        return self.given.get("long_text") == "chunk"
