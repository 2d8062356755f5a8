"""Texts laid end to end, as a request of the encode step carries them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from encserve_export.certificate.figures.parity import Text
from encserve_server.steps.encode.columns import columns_of


def packed_request(texts: Sequence[Text]) -> dict[str, NDArray[np.int64]]:
    """The tensors of one request of `texts`, by graph input: those with an element for each token (T,), `lengths` (n,),
    and `mask_at` (M,) where texts have it."""
    lengths = np.array([len(text["input_ids"]) for text in texts], np.int64)
    begins = np.cumsum(lengths) - lengths
    packed = {"lengths": lengths}
    for name in texts[0]:
        values = [text[name] for text in texts]
        if name == "mask_at":
            values = [places + begin for places, begin in zip(values, begins, strict=True)]
        packed[name] = np.concatenate(values)
    return packed


def requests_of(texts: Sequence[Text], *, most_texts: int, most_tokens: int) -> list[list[Text]]:
    """Two requests of about half of `texts` each, in their order, or more where these would have more than `most_texts`
    or `most_tokens`. Of two texts one request, so that each has company in its own."""
    most, tokens = min(max(2, (len(texts) + 1) // 2), most_texts), most_tokens
    requests: list[list[Text]] = []
    for text in texts:
        size = len(text["input_ids"])
        if tokens + size > most_tokens or len(requests[-1]) == most:
            requests.append([])
            tokens = 0
        requests[-1].append(text)
        tokens += size
    return requests


def texts_of(tensors: dict[str, NDArray[np.int64]]) -> list[Text]:
    """The texts of a request, as they were packed; `mask_at` of each counts from its own begin."""
    columns = columns_of(tensors)
    texts = [dict(zip(columns, values, strict=True)) for values in zip(*columns.values(), strict=True)]
    begin = 0
    for text in texts:
        if "mask_at" in text:
            text["mask_at"] = text["mask_at"] - begin
        begin += len(text["input_ids"])
    return texts
