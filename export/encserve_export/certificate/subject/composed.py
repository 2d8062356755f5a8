"""A pipeline composed in this process as a server composes it: its tokenize, encode and head steps, by their own code,
out of the version folders that are about to be published."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from copy import copy
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from tokenizers import Tokenizer

from encserve_export.certificate.figures.parity import Rows, Text
from encserve_export.checkpoint.tasks.task import GraphOutput, Task
from encserve_export.engines.served_encoder import ServedEncoder
from encserve_export.errors import CertificateFailed, WayFailed
from encserve_export.reference.messages import Answer, Asked
from encserve_server.steps.encode.request import NonFiniteRows
from encserve_server.steps.head.answers.entities.chosen_runs import PARTS
from encserve_server.steps.head.answers.entities.gliner2_entities import GATE
from encserve_server.steps.head.answers.entities.labelled_entities import OF_WORDS, WORD
from encserve_server.steps.head.loading import load_head
from encserve_server.steps.instance.settings import read_settings
from encserve_server.steps.request.options import InvalidArgument, OptionRules
from encserve_server.steps.tokenize.tokenization import Tokenization

from .final_answers import answers_of
from .packed_request import packed_request, requests_of, texts_of


@dataclass(frozen=True)
class Said:
    """What a pipeline says to one request."""

    texts: list[Text]
    """The rows of tokens."""
    owners: list[int]
    """Of each of them, which text or pair of the request it is of."""
    rows: list[Rows]
    """What the encode step gives for each of them, (r, W)."""
    read: list[NDArray[np.intp]] | list[NDArray[np.bool_]] | None
    """Of each of them, the rows that the head looks at; None for all of all. transformers takes a million from
    BigBird's logits of a question, where no answer can be: beside that no difference would be seen. Of spans
    or words with labels which numbers (r, W) are those of one that is there."""
    answers: Sequence[tuple[Answer, ...]]
    """For each text or pair."""
    counts: list[int] | None = None
    """The tokens of each text where none of them go to the network, as of queries that a table answers; None where the
    rows say it."""


class ComposedPipeline:
    """Three steps."""

    def __init__(
        self, task: Task, folders: Mapping[str, Path], encoder: ServedEncoder, outputs: Mapping[str, GraphOutput]
    ) -> None:
        """`folders` are the version folders by step. The head gets `outputs` of `encoder`, which is the encode step, by
        the names that this has for them."""
        self._task = task
        settings, head = read_settings(folders["tokenize"]), read_settings(folders["head"])
        self.limits: dict[str, int] = settings["limits"]
        self.prompts: dict[str, str] = settings["prompts"]
        self._rules = OptionRules.from_settings(settings)
        tokenizer = Tokenizer.from_file(str(folders["tokenize"] / "tokenizer.json"))
        self._tokenization = Tokenization(tokenizer, settings)
        self._encoder, self._outputs = encoder, dict(outputs)
        self._output = next(iter(outputs))
        """The one whose rows are told of."""
        self._head, self._head_inputs = load_head(head), head["tensors"]
        self._entities: dict[str, Any] = head.get("entities", {})
        self._head_rules = OptionRules.from_settings(head)

    def ask(self, requests: Sequence[Asked], graph_inputs: Sequence[str]) -> list[Said]:
        """What it says to each request; they wait together for the encode step.

        Raises:
            WayFailed: the encode step fails a request, as where the network gives NaN or infinity.
            CertificateFailed: another step does.
        """
        tokenized = [self._tokenize(request) for request in requests]
        packs = [{name: tensors[name] for name in graph_inputs} for tensors in tokenized]
        encoded = self._encoder.encode(packs, [*self._outputs])
        return [self._said(*each) for each in zip(requests, tokenized, packs, encoded, strict=True)]

    def by_output(self) -> Iterator[ComposedPipeline]:
        """The same pipeline once for each output of its encode step, which `encode` gives the rows of."""
        for name in self._outputs:
            pipeline = copy(self)
            pipeline._output = name
            yield pipeline

    def encode(self, texts: Sequence[Text]) -> list[Rows]:
        """Rows (r, W) of each text, each in a request of its own; the requests wait together. NaN where the step
        refuses to hand out what is not finite."""
        return self._encode([[text] for text in texts])

    def encode_together(self, texts: Sequence[Text]) -> list[Rows]:
        """Rows (r, W) of each text, several in a request; the requests wait together. NaN for all of a request of which
        the step refuses to hand out what is not finite."""
        most_texts, most_tokens = (self.limits[f"max_{what}_per_request"] for what in ("texts", "tokens"))
        return self._encode(requests_of(texts, most_texts=most_texts, most_tokens=most_tokens))

    def _encode(self, requests: Sequence[Sequence[Text]]) -> list[Rows]:
        answers = self._encoder.encode([packed_request(texts) for texts in requests], [self._output])
        return [
            rows
            for answer, texts in zip(answers, requests, strict=True)
            for rows in self._rows_of(answer, [self._size(text) for text in texts])
        ]

    def _tokenize(self, request: Asked) -> dict[str, NDArray[Any]]:
        raw = {name: [text.encode() for text in texts] for name, texts in request.inputs.items()}
        try:
            options = self._rules.parse(parameters_of(request))
            (tensors,) = self._tokenization.tokenize([(self._tokenization.read(raw, options), options)])
        except InvalidArgument as error:
            tensors = error
        if isinstance(tensors, InvalidArgument):
            raise CertificateFailed(f"the tokenize step refuses a request of the certificate: {tensors}") from tensors
        return tensors

    def _said(
        self,
        request: Asked,
        tensors: dict[str, NDArray[Any]],
        pack: dict[str, NDArray[np.int64]],
        encoded: Mapping[str, Rows] | Exception,
    ) -> Said:
        if isinstance(encoded, Exception):
            raise WayFailed(f"the encode step does not answer {_shown(request)}: {encoded}") from encoded
        texts = texts_of(pack)
        in_windows = self._task.layout == "context_windows"
        per_text: NDArray[Any] | int = tensors["window_count"] if in_windows else len(texts) // request.count
        sizes = [self._size(text) for text in texts]
        rows = np.split(encoded[self._output], np.cumsum(sizes)[:-1]) if texts else []
        raw = {name: np.array([text.encode() for text in texts], object) for name, texts in request.inputs.items()}
        known = {**raw, **tensors, **{output.name: encoded[name] for name, output in self._outputs.items()}}
        options = self._head_rules.parse(parameters_of(request))
        try:
            answer = self._head.answer({name: known[name] for name in self._head_inputs}, options)
            answers = answers_of(self._task.name, {**tensors, **answer})
        except Exception as error:  # whatever a head does with tensors of other steps
            raise CertificateFailed(f"the head step does not answer {_shown(request)}: {error!r}") from error
        owners = np.repeat(np.arange(request.count), per_text).tolist()
        counts = None if texts else tensors["token_count"].tolist()
        return Said(texts, owners, rows, self._read(request, tensors, texts), answers, counts)

    def _read(
        self, request: Asked, tensors: Mapping[str, NDArray[Any]], texts: Sequence[Text]
    ) -> list[NDArray[np.intp]] | list[NDArray[np.bool_]] | None:
        """What the head looks at of the rows of each row of tokens."""
        if self._task.layout == "context_windows":
            return _of_contexts(tensors)
        if self._entities:
            labels = len(request.options["labels"])
            return [scores_there(text["entity_roles"], self._entities, labels) for text in texts]
        return None

    def _rows_of(self, answer: Mapping[str, Rows] | Exception, sizes: Sequence[int]) -> list[Rows]:
        """The rows of each text of a request, of which the step gives so many."""
        if isinstance(answer, NonFiniteRows):
            return [np.full((size, 1), np.nan, np.float32) for size in sizes]
        if isinstance(answer, Exception):
            raise WayFailed(f"the encode step does not answer: {answer}") from answer
        return np.split(answer[self._output], np.cumsum(sizes)[:-1])

    def _size(self, text: Text) -> int:
        """Rows that the encode step gives for a row of tokens."""
        follows = self._outputs[self._output].follows
        return 1 if follows == "lengths" else len(text[follows])


def parameters_of(request: Asked) -> str:
    """The options of a request as they go over the wire: a JSON object, in which lists and fractions are texts."""
    return json.dumps(wire_options(request))


def wire_options(request: Asked) -> dict[str, Any]:
    """The options of a request as Triton's parameters, which have no lists, and no numbers but whole ones."""
    return {
        name: json.dumps(value) if isinstance(value, list | dict | float) else value
        for name, value in request.options.items()
    }


def scores_there(roles: NDArray[np.int64], stated: Mapping[str, Any], labels: int) -> NDArray[np.bool_]:
    """Which of the numbers (t, W) of a text's tokens are those of a word for one of its labels, or of a span that does
    not end behind the text, and of whether it has any; `roles` (t,) say which tokens begin words."""
    at_words = np.flatnonzero(roles == WORD)
    of_words = stated["scores"] == OF_WORDS
    rows = PARTS if of_words else stated["max_width"]
    there = np.zeros((len(roles), rows, stated["most_labels"]), bool)
    inside = of_words | (np.arange(len(at_words))[:, None] + np.arange(rows) < len(at_words))
    there[at_words, :, :labels] = inside[..., None]
    there[roles == GATE, 0, 0] = True
    return there.reshape(len(roles), -1)


def _of_contexts(tensors: Mapping[str, NDArray[Any]]) -> list[NDArray[np.intp]]:
    """The tokens of a context, and the first one, of each window."""
    ends = np.cumsum(tensors["lengths"])[:-1]
    return [np.unique(np.append(np.flatnonzero(places[:, 0] >= 0), 0)) for places in np.split(tensors["offsets"], ends)]


def _shown(request: Asked) -> str:
    return repr(next(iter(request.inputs.values()))[0][:60])
