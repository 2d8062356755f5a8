"""The packed contract, seen from the client: the tensors of an answer, and the checks of options. Pure, no I/O."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from encserve._errors import ContractError, InvalidInput
from encserve._messages import BYTES_DTYPE, InferResponse, Parameter
from encserve._pipeline import PipelineInfo

TRUNCATIONS = ("end", "start", "error")
"""The values of `truncate`."""

LONG_TEXTS = ("truncate", "chunk")
"""The values of `long_text`."""

LANES = ("interactive", "bulk")
"""The values of `priority`, which the server knows as the option `lane`."""

COUNTS = ("token_count", "dropped_count")
"""The outputs that every task has."""


def window_options(*, long_text: str | None, overlap: int | None) -> dict[str, Parameter | None]:
    """The options of tasks that can read long texts in windows. Raises InvalidInput."""
    return {
        "long_text": one_of("long_text", long_text, LONG_TEXTS),
        "overlap": overlap if type(overlap) is int and overlap == 0 else positive("overlap", overlap),
    }


def given(options: Mapping[str, Parameter | None]) -> dict[str, Parameter]:
    """The request parameters of those options that the caller gave. The server knows the defaults of the others."""
    return {name: value for name, value in options.items() if value is not None}


def one_of(name: str, value: str | None, allowed: tuple[str, ...]) -> str | None:
    """An option with few values. Raises InvalidInput."""
    if value is not None and value not in allowed:
        raise InvalidInput(f"{name} is {value!r}, expected one of {', '.join(map(repr, allowed))}")
    return value


def text_option(name: str, value: str | None) -> str | None:
    """An option that is a string. Raises InvalidInput."""
    if value is not None and not isinstance(value, str):
        raise InvalidInput(f"{name} is {value!r}, expected a str")
    return value


def positive(name: str, value: int | None) -> int | None:
    """An option that counts. Raises InvalidInput."""
    if value is not None and (type(value) is not int or value < 1):
        raise InvalidInput(f"{name} is {value!r}, expected a positive int")
    return value


def flag(name: str, value: bool | None) -> bool | None:
    """An option that is on or off. Raises InvalidInput."""
    if value is not None and not isinstance(value, bool):
        raise InvalidInput(f"{name} is {value!r}, expected a bool")
    return value


@dataclass(frozen=True, kw_only=True)
class AnswerReader:
    """The answer to one request of a call, and what is known of the request."""

    response: InferResponse
    rows: int
    """Texts of the request."""
    start: int
    """Index of its first text in the whole call."""
    options: Mapping[str, Parameter]
    pipeline: PipelineInfo
    """Of the version that answered."""

    def array(self, name: str, dtype: type[np.generic], shape: tuple[int | None, ...]) -> NDArray[Any]:
        """The named tensor without the leading request dimension of 1; None in `shape` stands for any size.

        Raises:
            ContractError: it is missing, or its dtype or shape is not what the contract promises.
        """
        tensor = self.response.tensors.get(name)
        if tensor is None:
            present = ", ".join(map(repr, self.response.tensors)) or "none"
            raise self.broken(f"the answer has no tensor {name!r}, only {present}")
        if tensor.dtype != dtype:
            raise self.broken(f"tensor {name!r} is {tensor.dtype}, the contract promises {np.dtype(dtype)}")
        wanted = (1, *shape)
        if tensor.ndim != len(wanted) or any(w not in (None, s) for w, s in zip(wanted, tensor.shape, strict=True)):
            promised = ", ".join("*" if size is None else str(size) for size in wanted)
            raise self.broken(f"tensor {name!r} has shape {list(tensor.shape)}, the contract promises [{promised}]")
        array: NDArray[Any] = tensor[0]
        return array

    def strings(self, name: str, shape: tuple[int | None, ...]) -> NDArray[np.object_]:
        """A BYTES tensor as an array of str. Raises ContractError."""
        array = self.array(name, BYTES_DTYPE.type, shape)
        decoded = np.empty(array.size, np.object_)
        try:
            decoded[:] = [element.decode() for element in array.ravel()]
        except UnicodeDecodeError as error:
            raise self.broken(f"tensor {name!r} holds text that is not UTF-8: {error}") from error
        return decoded.reshape(array.shape)

    def common(self) -> dict[str, Any]:
        """The fields that every answer has. Raises ContractError."""
        return {
            "token_counts": self.array("token_count", np.int32, (self.rows,)),
            "dropped_counts": self.array("dropped_count", np.int32, (self.rows,)),
            "window_counts": self._window_counts(),
            "model": self.response.model,
            "version": self.response.version,
            "certificate": self.pipeline.certificate,
            "start": self.start,
        }

    def _window_counts(self) -> NDArray[Any]:
        if "window_count" not in self.response.tensors:  # it is asked for where texts may have several
            return np.ones(self.rows, np.int32)
        return self.array("window_count", np.int32, (self.rows,))

    def broken(self, problem: str) -> ContractError:
        """The error to raise for an answer that breaks the contract."""
        response = self.response
        return ContractError(problem, model=response.model, version=response.version, request_id=response.request_id)


def nothing(pipeline: PipelineInfo) -> dict[str, Any]:
    """The common fields of an answer about no text."""
    return {
        "token_counts": np.empty(0, np.int32),
        "dropped_counts": np.empty(0, np.int32),
        "window_counts": np.empty(0, np.int32),
        "model": pipeline.name,
        "version": "",
        "certificate": pipeline.certificate,
    }
