"""A pipeline in this process: what its three steps make of one request, as an ensemble of Triton connects them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np

from encserve import (
    ContractError,
    EncserveError,
    InferenceFailed,
    InferRequest,
    InferResponse,
    InvalidInput,
    PipelineInfo,
)

from .certified import CertifiedVersion
from .steps import EncodeStep, HeadStep, TokenizeStep
from .waiting import Waiting

_LANE = "lane"


class LocalPipeline:
    """The steps of one version. Any number of threads may ask it.

    Raises:
        ContractError: another release of encserve has made the version, in a way that this one cannot run.
        EncserveError: this host lacks what the version requires, or its runtime cannot load the graph.
    """

    def __init__(self, version: CertifiedVersion, *, cores: int | None) -> None:
        self.info: PipelineInfo = version.info
        self._version = version
        with self._loading():
            self._tokenize = TokenizeStep(version.steps["tokenize"])
            self._head = HeadStep(version.steps["head"])
            self._encode = EncodeStep(version.steps["encode"], cores=cores)  # last: it has threads

    @property
    def slow_here(self) -> str:
        """Why it is slow on this processor, as a sentence; empty if it is not."""
        return self._encode.slow_here

    def answer(self, request: InferRequest, waiting: Waiting) -> InferResponse:
        """Answer a request on the calling thread, whose caller may give it up in `waiting`.

        Raises:
            InvalidInput: a step refuses the request.
            InferenceFailed: the network fails on it, or a step does by a fault of ours.
            TransportError: `waiting` ended before the answer.
        """
        with self._asking("tokenize", self._tokenize.Refused, request):
            raw: dict[str, Any] = {name: list(texts) for name, texts in request.inputs.items()}
            options = self._tokenize.options(request.parameters)
            tokenized = self._tokenize.tokenize(raw, options)
        with self._asking("encode", self._encode.Refused, request):
            self._encode.begin(
                tokenized,
                outputs=tuple(self._version.head_inputs),
                parameters=request.parameters,
                lane=options[_LANE],
                fresh=options.get("fresh") is True,
                is_wanted=waiting.goes_on,
                answer=waiting.end,
            )
        rows = waiting.result()
        if isinstance(rows, Exception):
            raise self._failed(rows, request) from rows
        with self._asking("head", self._head.Refused, request):
            texts = {name: np.array(texts, np.object_) for name, texts in raw.items()}
            encoded = {name: rows[output] for output, name in self._version.head_inputs.items()}
            known = {**texts, **tokenized, **encoded}
            known |= self._head.answer(known, request.parameters)
            tensors = {name: np.asarray(known[name])[None] for name in request.outputs}  # (1, ...)
        return InferResponse(
            model=request.model, version=self.info.version, tensors=tensors, request_id=request.request_id
        )

    def close(self) -> None:
        """End the threads. Requests that wait for the network must have ended before."""
        self._encode.close()

    @contextmanager
    def _loading(self) -> Iterator[None]:
        about: dict[str, Any] = {"model": self.info.name, "version": self.info.version}
        try:
            yield
        except EncserveError:
            raise
        except (ImportError, AttributeError, KeyError, TypeError) as error:
            raise ContractError(
                f"another release of encserve has made it, whose steps this one cannot run ({error!r}): export the "
                "pipeline again",
                **about,
            ) from error
        except ValueError as error:
            raise ContractError(str(error), **about) from error
        except Exception as error:  # runtimes raise what they like
            raise EncserveError(f"it cannot be loaded here: {error}", **about) from error

    @contextmanager
    def _asking(self, step: str, refused: type[Exception], request: InferRequest) -> Iterator[None]:
        """Turn what a step raises into an error of the SDK. Its words are told where they are a refusal, which names no
        text; others may hold one."""
        try:
            yield
        except (EncserveError, KeyboardInterrupt, SystemExit):
            raise
        except refused as error:
            raise InvalidInput(str(error), status="INVALID_ARGUMENT", **self._about(request)) from error
        except BaseException as error:  # a panic of the tokenizer is no Exception
            message = f"a fault in the {step} step: {type(error).__name__}"
            raise InferenceFailed(message, status="INTERNAL", **self._about(request)) from error

    def _failed(self, error: Exception, request: InferRequest) -> InferenceFailed:
        texts: tuple[int, ...] = tuple(error.texts) if isinstance(error, self._encode.NotFinite) else ()  # type: ignore[attr-defined]
        message = str(error) if texts else f"the network failed: {error}"
        failed = InferenceFailed(message, status="INTERNAL", **self._about(request))
        failed.texts = texts
        return failed

    def _about(self, request: InferRequest) -> dict[str, Any]:
        return {"model": request.model, "version": self.info.version, "request_id": request.request_id}
