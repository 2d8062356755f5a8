"""The steps of a pipeline that a server runs, asked one by one."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from encserve import InferenceFailed, InferRequest, InferResponse, InvalidInput, Transport
from encserve_server.models.request_columns import columns_of

from .parity import Rows, Text
from .reference_file import Question


def ask(
    transport: Transport,
    question: Question,
    *,
    model: str,
    version: str,
    outputs: Sequence[str],
    most_texts: int,
    timeout_s: float,
) -> list[InferResponse]:
    """Ask a model the question, in requests of `most_texts` texts or pairs at most, and fewer where it refuses so many.

    Raises:
        EncserveError: the model does not answer, or refuses a text by itself.
    """
    parameters = {
        name: json.dumps(value) if isinstance(value, list | dict) else value for name, value in question.options.items()
    }

    def asked(begin: int, end: int) -> list[InferResponse]:
        inputs = {name: [text.encode() for text in texts[begin:end]] for name, texts in question.inputs.items()}
        request = InferRequest(
            model=model, model_version=version, inputs=inputs, outputs=tuple(outputs), parameters=parameters
        )
        try:
            return [transport.infer(request, timeout_s=timeout_s)]
        except InvalidInput:
            if end - begin == 1:
                raise
        middle = (begin + end) // 2
        return asked(begin, middle) + asked(middle, end)

    count = len(question.inputs["text"])
    size = max(1, most_texts // len(question.options.get("labels", [""])))
    return [each for begin in range(0, count, size) for each in asked(begin, min(begin + size, count))]


class LivePipeline:
    """The tokenize and encode steps of one version of a pipeline, through a transport."""

    def __init__(
        self,
        transport: Transport,
        question: Question,
        *,
        tokenize: str,
        encode: str,
        graph_inputs: Sequence[str],
        width: int,
        version: str,
        limits: Mapping[str, int],
        timeout_s: float,
    ) -> None:
        """`tokenize` and `encode` are the models of the steps; the encode step takes `graph_inputs` and gives rows of
        `width` numbers; `limits` are those of a request."""
        self._transport = transport
        self._question = question
        self._tokenize, self._encode, self._version = tokenize, encode, version
        self._graph_inputs = tuple(graph_inputs)
        self._width = width
        self._limits = limits
        self._timeout_s = timeout_s
        self.failures: list[str] = []
        """What the encode step said instead of numbers, each complaint once."""

    def tokenize(self) -> list[Text]:
        """What each row of tokens of the question gives to the graph; `mask_at` counts from the row's own begin.

        Raises:
            EncserveError: the step does not answer.
        """
        responses = ask(
            self._transport,
            self._question,
            model=self._tokenize,
            version=self._version,
            outputs=self._graph_inputs,
            most_texts=self._limits["max_texts_per_request"],
            timeout_s=self._timeout_s,
        )
        return [text for response in responses for text in self._texts_of(response)]

    def _texts_of(self, response: InferResponse) -> list[Text]:
        columns = columns_of({name: response.tensors[name][0] for name in self._graph_inputs})
        texts = [dict(zip(columns, values, strict=True)) for values in zip(*columns.values(), strict=True)]
        begin = 0
        for text in texts:
            if "mask_at" in text:
                text["mask_at"] = text["mask_at"] - begin
            begin += len(text["input_ids"])
        return texts

    def encode(self, texts: Sequence[Text]) -> list[Rows]:
        """Rows (r, W) of each text, in as few requests as the limits allow; NaN where the step answers with an error.

        Raises:
            EncserveError: no answer came, or the step refuses the request.
        """
        rows: list[Rows] = []
        for chunk in self._chunks(texts):
            rows += self._ask(chunk)
        return rows

    def encode_pack(self, texts: Sequence[Text]) -> list[Rows]:
        """As `encode`: what shares a request shares a pack, as far as the server has it so."""
        return self.encode(texts)

    def _chunks(self, texts: Sequence[Text]) -> Iterator[list[Text]]:
        chunk: list[Text] = []
        tokens = 0
        for text in texts:
            size = len(text["input_ids"])
            full = len(chunk) == self._limits["max_texts_per_request"]
            if chunk and (full or tokens + size > self._limits["max_tokens_per_request"]):
                yield chunk
                chunk, tokens = [], 0
            chunk.append(text)
            tokens += size
        if chunk:
            yield chunk

    def _ask(self, texts: Sequence[Text]) -> list[Rows]:
        """Rows of the texts of one request; NaN where the step answers with an error."""
        sizes = [self._row_count(text) for text in texts]
        try:
            response = self._transport.infer(
                InferRequest(
                    model=self._encode,
                    model_version=self._version,
                    inputs={name: tensor[None] for name, tensor in self._packed(texts).items()},
                    outputs=(self._question.output,),
                    parameters={"fresh": True},  # rows that were kept would hide what has changed since
                ),
                timeout_s=self._timeout_s,
            )
        except InferenceFailed as error:
            if str(error) not in self.failures:
                self.failures.append(str(error))
            # The step refuses to hand out what is not finite, and does not say of which text it is.
            if len(texts) > 1:
                return [rows for text in texts for rows in self._ask([text])]
            return [np.full((sizes[0], self._width), np.nan, np.float32)]
        return np.split(response.tensors[self._question.output][0], np.cumsum(sizes)[:-1])

    def _packed(self, texts: Sequence[Text]) -> dict[str, NDArray[np.int64]]:
        lengths = np.array([len(text["input_ids"]) for text in texts], np.int64)
        begins = np.cumsum(lengths) - lengths
        packed = {"lengths": lengths}
        for name in self._graph_inputs:
            if name == "mask_at":  # a text that was cut has its masks within what is left
                places = [
                    np.minimum(text[name], length - 1) + begin
                    for text, begin, length in zip(texts, begins, lengths, strict=True)
                ]
                packed[name] = np.concatenate(places)
            elif name != "lengths":
                packed[name] = np.concatenate([text[name] for text in texts])
        return packed

    def _row_count(self, text: Text) -> int:
        follows = self._question.follows
        return 1 if follows == "lengths" else len(text[follows])
