"""The two graphs of a pipeline that generates, in its runtime: the encoder, and one step of the decoder."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...encode.network.loading import load_network
from .cache import Cache

ENCODER_FILE = "encoder.onnx"
STEP_FILE = "step.onnx"


@dataclass(frozen=True, kw_only=True)
class Shape:
    """The sizes of what is kept of each token, and of what is said of the next."""

    layers: int
    """The layers of the decoder."""
    heads: int
    size: int
    """The numbers of one head's key."""
    vocabulary: int
    """The tokens that may be chosen."""

    @property
    def bytes_per_token(self) -> int:
        """The bytes of one token's keys and values in all layers; as many for a token of the source as for a new
        one."""
        return self.layers * 2 * self.heads * self.size * 4

    @property
    def bytes_of_logits(self) -> int:
        """The bytes of the logits after one hypothesis."""
        return self.vocabulary * 4


def step_inputs(shape: Shape) -> Iterator[str]:
    """Yield the inputs of the step graph, in their order."""
    yield from ("token", "position", "source_length")
    for layer in range(shape.layers):
        yield from (f"past_key_{layer}", f"past_value_{layer}", f"source_key_{layer}", f"source_value_{layer}")


class GenerateNetwork:
    """Both graphs of a version. Keys and values that are kept are float32, whatever the precision of its products."""

    def __init__(
        self,
        folder: Path,
        shape: Shape,
        *,
        threads: int,
        runtime: str = "onnxruntime",
        hints: Mapping[str, str] | None = None,
    ) -> None:
        """Load them out of a version folder into `runtime`, which is told `hints`; their operators share `threads`."""
        self.shape = shape
        self._encoder, self._step = (
            load_network(runtime, folder / file, hints or {}, side_by_side=1, threads=threads, arena=True)
            for file in (ENCODER_FILE, STEP_FILE)
        )
        self._kept = list(step_inputs(shape))[3:]

    def encode(self, texts: Sequence[NDArray[np.int64]]) -> list[NDArray[np.float32]]:
        """Return of each text, by its ids (s,), the keys and values that the decoder looks at: (2 L, H, s, D)."""
        lengths = np.array([len(ids) for ids in texts], np.int64)
        (source,) = self._encoder.run({"input_ids": np.concatenate(texts), "lengths": lengths}, ["source"])
        return np.split(source, np.cumsum(lengths)[:-1], axis=2)

    def encode_apart(self, texts: Sequence[NDArray[np.int64]]) -> list[NDArray[np.float32]]:
        """Return the same as `encode`. Where it has NaN or infinity each text is encoded again by itself: attention
        weighs the tokens of other texts by 0, which makes nothing of numbers alone."""
        kept = self.encode(texts)
        if len(texts) == 1 or all(np.isfinite(each).all() for each in kept):
            return kept
        return [self.encode([text])[0] for text in texts]

    @classmethod
    def certified(cls, folder: Path, settings: Mapping[str, Any], *, threads: int) -> GenerateNetwork:
        """Load them as the settings of the version say."""
        shape = Shape(**settings["shape"])
        return cls(folder, shape, threads=threads, runtime=settings["runtime"], hints=settings["hints"])

    def feed(self, tokens: NDArray[np.int64], cache: Cache) -> dict[str, NDArray[Any]]:
        """Return the inputs of the step graph, by name, for one more token of each of K hypotheses of the T texts in
        the cache, int64 (T, K). Arrays of the cache are not copied."""
        return {
            "token": tokens,
            "position": cache.kept,
            "source_length": cache.source_lengths,
            **dict(zip(self._kept, cache.tensors(), strict=True)),
        }

    def step(self, tokens: NDArray[np.int64], cache: Cache) -> NDArray[np.float32]:
        """Return the logits (T, K, V) after one more token of each of K hypotheses of the T texts in the cache, int64
        (T, K), and keep what the next step needs of it."""
        logits, keys, values = self._step.run(self.feed(tokens, cache), ["logits", "key", "value"])
        cache.keep(keys, values)  # (L, T, K, H, D)
        return logits
