"""One call of a verb: all that both clients do about it but the network.

A call checks its arguments when it is built, splits its texts into chunks, turns a chunk into a request, and an answer
into a part of the result.
"""

import secrets
from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Generic

from encserve._errors import InvalidInput
from encserve._messages import InferRequest, InferResponse, Parameter
from encserve._pipeline import PipelineInfo
from encserve._protocol import COUNTS, AnswerReader
from encserve._results import Gather, Part, Parts
from encserve._split import Chunk, check_collection, check_texts, encode_text, split
from encserve._tally import Tally


@dataclass(frozen=True, kw_only=True)
class Verb(Generic[Part]):
    """What a client can ask of the pipelines of one task."""

    name: str
    task: str
    outputs: tuple[str, ...]
    """Outputs beside the counts."""
    decode: Callable[[AnswerReader], Part]
    """The part of the result in one answer."""
    nothing: Callable[[PipelineInfo, Mapping[str, Parameter]], Part]
    """The result for no texts."""
    split: str = "text"
    """What the caller calls one of the texts that are split into requests."""
    shared: str = ""
    """What the caller calls the one text that goes with all others; empty where there is none."""
    copied: bool = False
    """Whether the server makes as many copies of a text as it has tokens."""
    gather: Callable[[int], Gather[Part]] = Parts
    """Makes what joins the parts of a call about so many texts."""


@dataclass(frozen=True, kw_only=True)
class Terms:
    """The arguments that every call has."""

    model: str
    options: Mapping[str, Parameter]
    progress: bool
    timeout_s: float
    priority: str | None = None
    """None: by the number of texts."""


MOST_INTERACTIVE_TEXTS = 1_024
"""A call about more texts goes in bulk unless it says otherwise: nobody waits for each of so many answers, and others
must not wait for all of them."""


class Call(Generic[Part]):
    """The texts and options of one call.

    Args:
        texts: what is split into requests.
        pairs: the second text of each; in a verb about pairs.
        shared: the one first text that goes with each of `texts`, which then are the second ones.
        rows_per_text: how many rows of the server's limits a text takes.

    Raises:
        InvalidInput: an argument has the wrong type or an impossible value. The texts themselves are not looked at yet.
    """

    def __init__(
        self,
        verb: Verb[Part],
        texts: Iterable[str],
        terms: Terms,
        *,
        pairs: Sequence[str] | None = None,
        shared: str = "",
        rows_per_text: int = 1,
    ) -> None:
        check_collection(texts)
        if not isinstance(terms.model, str) or not terms.model:
            raise InvalidInput(f"model is {terms.model!r}, expected the name of a pipeline")
        self.model = terms.model
        self.timeout_s = terms.timeout_s
        self._verb = verb
        self._texts = texts
        self._pairs = pairs
        self._shared = shared
        self._rows_per_text = rows_per_text
        self._options = terms.options
        self._progress = terms.progress
        self._priority = terms.priority
        self._total = len(texts) if isinstance(texts, Sequence) else None
        self._in_windows = terms.options.get("long_text") == "chunk"
        self._id = secrets.token_hex(8)
        self._parameters = terms.options

    def chunks(self, pipeline: PipelineInfo, *, texts_per_request: int) -> Iterator[Chunk]:
        """The texts in chunks. A list is checked as a whole at once, other iterables as they are read.

        Raises:
            InvalidInput: the pipeline has another task, or a text is refused.
        """
        verb, max_bytes = self._verb, pipeline.max_bytes_per_text
        if pipeline.task != verb.task:
            raise InvalidInput(
                f"{self.model!r} is for {pipeline.task}, {verb.name} needs {verb.task}", model=self.model
            )
        paired = self._pairs is not None or bool(verb.shared)
        if pipeline.pairs != paired:
            wants = "wants a second text for each" if pipeline.pairs else "takes single texts, no pairs"
            raise InvalidInput(f"{self.model!r} {wants}", model=self.model)
        for texts, name in ((self._texts, verb.split), (self._pairs, "text_pair")):
            if isinstance(texts, Sequence):
                check_texts(texts, max_bytes=max_bytes, name=name)
        shared_bytes = len(encode_text(self._shared, max_bytes=max_bytes, name=verb.shared)) if verb.shared else 0
        lane = self._lane()
        if lane != pipeline.option_defaults.get("lane", lane):  # pipelines of earlier exports have one lane
            self._parameters = {**self._options, "lane": lane}
        # "" is no prompt
        prompted = bool(self._options.get("prompt_name", pipeline.option_defaults.get("prompt_name")))
        return split(
            self._texts,
            pipeline,
            pairs=self._pairs,
            max_texts=self.max_texts(pipeline, texts_per_request=texts_per_request),
            extra_bytes=shared_bytes,
            prompted=prompted,
            rows_per_text=self._rows_per_text,
            in_windows=self._in_windows,
            copied=verb.copied,
        )

    def max_texts(self, pipeline: PipelineInfo, *, texts_per_request: int) -> int:
        """How many texts one request takes, where the client wants no more than `texts_per_request`."""
        return max(1, min(texts_per_request, pipeline.max_texts_per_request) // self._rows_per_text)

    @property
    def mergeable(self) -> Hashable | None:
        """Calls for which this is equal ask the same about their texts, and may share a request; None: never."""
        if self._verb.shared:
            return None
        return (
            self.model,
            self._verb.name,
            frozenset(self._options.items()),
            self._pairs is not None,
            self._rows_per_text,
            self._lane(),
            self.timeout_s,
        )

    def _lane(self) -> str:
        few = self._total is not None and self._total * self._rows_per_text <= MOST_INTERACTIVE_TEXTS
        return self._priority or ("interactive" if few else "bulk")

    def request(self, chunk: Chunk) -> InferRequest:
        """The request for a chunk. Its id tells the call and the first row."""
        inputs: dict[str, Any] = {"text": chunk.texts}
        if self._verb.shared:
            inputs = {"text": [self._shared.encode()], "text_pair": chunk.texts}
        elif self._pairs is not None:
            inputs["text_pair"] = chunk.pairs
        return InferRequest(
            model=self.model,
            inputs=inputs,
            outputs=(*self._verb.outputs, *COUNTS, *(("window_count",) if self._in_windows else ())),
            parameters=self._parameters,
            request_id=f"{self._id}-{chunk.start}",
        )

    def has(self, request: InferRequest) -> bool:
        """Whether a request is one of this call's."""
        return request.request_id.startswith(f"{self._id}-")

    def part(self, response: InferResponse, chunk: Chunk, pipeline: PipelineInfo) -> Part:
        """The part of the result in the answer to a chunk, from a pipeline of the version that answered."""
        return self._verb.decode(
            AnswerReader(
                response=response,
                rows=len(chunk.texts),
                start=chunk.start,
                options=self._options,
                pipeline=pipeline,
            )
        )

    def gather(self) -> Gather[Part]:
        """What joins the parts of a list of texts."""
        return self._verb.gather(self._total or 0)

    def nothing(self, pipeline: PipelineInfo) -> Part:
        """The answer to an empty list of texts."""
        return self._verb.nothing(pipeline, self._options)

    def tally(self) -> Tally:
        """A count of the rows that are done."""
        return Tally(self._total, progress=self._progress)
