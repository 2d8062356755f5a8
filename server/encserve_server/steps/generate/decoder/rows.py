"""The texts that are decoded together: those with as many hypotheses, a row of a cache for each."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ..texts.text import GeneratedText
from .cache import Cache
from .network import GenerateNetwork, Shape


class Rows:
    """Texts in the order of the rows of their cache."""

    def __init__(self, shape: Shape, beams: int) -> None:
        self.cache = Cache(shape.layers, shape.heads, shape.size, beams=beams)
        self.texts: list[GeneratedText] = []

    def step(self, network: GenerateNetwork, start: int) -> NDArray[np.float32]:
        """Return the logits (T, K, V) after the last token of each hypothesis, or `start` where there is none."""
        last = [[made[-1] if made else start for made in text.hypotheses] for text in self.texts]
        return network.step(np.array(last, np.int64), self.cache)

    def take(self, row: int) -> GeneratedText:
        """Take a text out whose row was removed from the cache; the last one has taken its row."""
        text, self.texts[row] = self.texts[row], self.texts[-1]
        self.texts.pop()
        return text
