"""One call of `embed` or `embed_iter`: all that both clients do about it but the network.

A call checks its arguments when it is built, splits its texts into chunks, turns a chunk into a request, and an answer
into rows.
"""

import secrets
from collections.abc import Iterable, Iterator, Mapping, Sequence

from encserve._errors import InvalidInput
from encserve._messages import InferRequest, InferResponse, Parameter
from encserve._pipeline import PipelineInfo
from encserve._protocol import decode_embeddings, encode_texts, output_dimensions
from encserve._results import Embeddings, blank_embeddings
from encserve._split import Chunk, check_collection, check_texts, split
from encserve._tally import Tally

EMBED_TASK = "feature-extraction"


class EmbedCall:
    """The texts and options of one call.

    Raises:
        InvalidInput: an argument has the wrong type or an impossible value. The texts themselves are not looked at yet.
    """

    def __init__(
        self, texts: Iterable[str], *, model: str, options: Mapping[str, Parameter], progress: bool, timeout_s: float
    ) -> None:
        check_collection(texts)
        if not isinstance(model, str) or not model:
            raise InvalidInput(f"model is {model!r}, expected the name of a pipeline")
        self.texts = texts
        self.model = model
        self.options = options
        self.timeout_s = timeout_s
        self.total = len(texts) if isinstance(texts, Sequence) else None
        self._progress = progress
        self._id = secrets.token_hex(8)

    def chunks(self, pipeline: PipelineInfo, *, texts_per_request: int) -> Iterator[Chunk]:
        """The texts in chunks. A list is checked as a whole at once, other iterables as they are read.

        Raises:
            InvalidInput: the pipeline has another task, or a text is refused.
        """
        if pipeline.task != EMBED_TASK:
            raise InvalidInput(f"{self.model!r} is for {pipeline.task}, embed needs {EMBED_TASK}", model=self.model)
        if isinstance(self.texts, Sequence):
            check_texts(self.texts, max_bytes=pipeline.max_bytes_per_text)
        prompted = bool(self.options.get("prompt_name", pipeline.option_defaults.get("prompt_name")))  # "" is no prompt
        return split(self.texts, pipeline, max_texts=texts_per_request, prompted=prompted)

    def request(self, chunk: Chunk) -> InferRequest:
        """The request for a chunk. Its id tells the call and the first row."""
        return encode_texts(chunk.texts, model=self.model, options=self.options, request_id=f"{self._id}-{chunk.start}")

    def part(self, response: InferResponse, chunk: Chunk, pipeline: PipelineInfo) -> Embeddings:
        """The rows in the answer to a chunk, from a pipeline of the version that answered."""
        return decode_embeddings(
            response,
            rows=len(chunk.texts),
            dimensions=output_dimensions(pipeline, self.options),
            certificate=pipeline.certificate,
            start=chunk.start,
        )

    def nothing(self, pipeline: PipelineInfo) -> Embeddings:
        """The answer to an empty list of texts."""
        dimensions = output_dimensions(pipeline, self.options)
        return blank_embeddings(0, dimensions, model=self.model, version="", certificate=pipeline.certificate)

    def tally(self) -> Tally:
        """A count of the rows that are done."""
        return Tally(self.total, progress=self._progress)
