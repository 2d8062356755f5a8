"""The packed contract, seen from the client: texts to a request, an answer to rows. Pure functions, no I/O."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from encserve._errors import ContractError, InvalidInput
from encserve._messages import InferRequest, InferResponse, Parameter
from encserve._pipeline import PipelineInfo
from encserve._results import Embeddings

TRUNCATIONS = ("end", "start", "error")
"""The values of `truncate`."""


def embed_options(
    *, truncate: str | None, prompt_name: str | None, dimensions: int | None, normalize: bool | None
) -> dict[str, Parameter]:
    """The request parameters of those options that the caller gave. The server knows the defaults of the others.

    Raises:
        InvalidInput: an option has the wrong type or an impossible value.
    """
    if truncate is not None and truncate not in TRUNCATIONS:
        raise InvalidInput(f"truncate is {truncate!r}, expected one of {', '.join(map(repr, TRUNCATIONS))}")
    if prompt_name is not None and not isinstance(prompt_name, str):
        raise InvalidInput(f"prompt_name is {prompt_name!r}, expected a str")
    if dimensions is not None and (type(dimensions) is not int or dimensions < 1):
        raise InvalidInput(f"dimensions is {dimensions!r}, expected a positive int")
    if normalize is not None and not isinstance(normalize, bool):
        raise InvalidInput(f"normalize is {normalize!r}, expected a bool")
    options = {"truncate": truncate, "prompt_name": prompt_name, "dimensions": dimensions, "normalize": normalize}
    return {name: value for name, value in options.items() if value is not None}


def output_dimensions(pipeline: PipelineInfo, options: Mapping[str, Parameter]) -> int:
    """The length of the vectors that a pipeline answers with, under these options."""
    return int(options.get("dimensions") or pipeline.option_defaults.get("dimensions") or pipeline.dimensions)


def encode_texts(
    texts: list[bytes], *, model: str, options: Mapping[str, Parameter] | None = None, request_id: str = ""
) -> InferRequest:
    """The request for the embeddings of texts in UTF-8."""
    return InferRequest(
        model=model,
        inputs={"text": texts},
        outputs=("embedding", "token_count", "dropped_count"),
        parameters=options or {},
        request_id=request_id,
    )


def decode_embeddings(
    response: InferResponse, *, rows: int, dimensions: int, certificate: str, start: int = 0
) -> Embeddings:
    """The embeddings in an answer about `rows` texts.

    Raises:
        ContractError: a tensor is missing, or its dtype or shape is not what the contract promises.
    """
    return Embeddings(
        vectors=_tensor(response, "embedding", np.float32, (rows, dimensions)),
        token_counts=_tensor(response, "token_count", np.int32, (rows,)),
        dropped_counts=_tensor(response, "dropped_count", np.int32, (rows,)),
        model=response.model,
        version=response.version,
        certificate=certificate,
        start=start,
    )


def _tensor(response: InferResponse, name: str, dtype: type[np.generic], shape: tuple[int, ...]) -> NDArray[Any]:
    """The named tensor, without the leading request dimension of 1."""
    tensor = response.tensors.get(name)
    if tensor is None:
        problem = f"the answer has no tensor {name!r}, only {', '.join(map(repr, response.tensors)) or 'none'}"
    elif tensor.dtype != dtype:
        problem = f"tensor {name!r} is {tensor.dtype}, the contract promises {np.dtype(dtype)}"
    elif tensor.shape != (1, *shape):
        problem = f"tensor {name!r} has shape {list(tensor.shape)}, the contract promises {[1, *shape]}"
    else:
        array: NDArray[Any] = tensor[0]
        return array
    raise ContractError(problem, model=response.model, version=response.version, request_id=response.request_id)
