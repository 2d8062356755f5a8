"""The packed contract, seen from the client: the tensors of an answer, checked as they are read."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from encserve._errors import ContractError
from encserve._messages import BYTES_DTYPE, InferResponse, Parameter
from encserve._pipeline import PipelineInfo

COUNTS = ("token_count", "dropped_count")
"""The outputs that every task has."""


@dataclass(frozen=True, kw_only=True)
class AnswerReader:
    """The answer to one request of a call, and what is known of the request. Of no texts there are no tensors: what is
    read then is empty."""

    response: InferResponse
    rows: int
    """Texts of the request."""
    start: int
    """Index of its first text in the whole call."""
    given: Mapping[str, Parameter]
    """The options of the request."""
    pipeline: PipelineInfo
    """What the version that answered says of itself."""

    def array(self, name: str, dtype: type[np.generic], shape: tuple[int | None, ...]) -> NDArray[Any]:
        """The named tensor without the leading request dimension of 1; None in `shape` stands for any size.

        Raises:
            ContractError: it is missing, or its dtype or shape is not what the contract promises.
        """
        if not self.rows:
            return np.empty([size or 0 for size in shape], dtype)
        tensor = self.response.tensors.get(name)
        if tensor is None:
            present = ", ".join(map(repr, self.response.tensors)) or "none"
            raise self.broken(f"the answer has no tensor {name!r}, only {present}")
        if tensor.dtype != dtype:
            raise self.broken(f"tensor {name!r} is {tensor.dtype}, the contract promises {np.dtype(dtype)}")
        wanted = (1, *shape)
        if tensor.shape != wanted and not _fits(tensor.shape, wanted):
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

    def ragged(
        self, name: str, dtype: type[np.generic], counts: NDArray[Any], *columns: int | None
    ) -> list[NDArray[Any]]:
        """A tensor with as many rows of each text as `counts` says, as an array for each text; None among `columns`
        stands for any number. Raises ContractError."""
        array = self.array(name, dtype, (int(counts.sum()), *columns))
        return np.split(array, np.cumsum(counts)[:-1])[: self.rows]

    def option(self, name: str, default: int) -> int:
        """A number that the call gave, or else the pipeline's, or else `default`."""
        return int(self.given.get(name) or self.pipeline.option_defaults.get(name) or default)

    def common(self) -> dict[str, Any]:
        """The fields that every answer has. Raises ContractError."""
        return {
            "token_counts": self.array("token_count", np.int32, (self.rows,)),
            "dropped_counts": self.array("dropped_count", np.int32, (self.rows,)),
            "window_counts": self._window_counts(),
            "model": self.response.model,
            "version": self.response.version,
            "certificate": self.pipeline.certificate,
            "relaxed": self.pipeline.relaxed,
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


def _fits(shape: tuple[int, ...], wanted: tuple[int | None, ...]) -> bool:
    return len(shape) == len(wanted) and all(want in (None, size) for want, size in zip(wanted, shape, strict=True))
