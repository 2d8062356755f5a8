"""Continuous batching, with a network that counts."""

import threading

import numpy as np
from trained_tokenizers import byte_level_tokenizer

from encserve_server.steps.generate.decoder.network import GenerateNetwork, Shape
from encserve_server.steps.generate.texts.choice import Choice
from encserve_server.steps.generate.texts.pieces import Pieces
from encserve_server.steps.generate.texts.text import GeneratedText

END, VOCABULARY, LEAKS, UNREADABLE, NAN, BREAKS = 0, 60, 56, 57, 58, 59
SHAPE = {"layers": 1, "heads": 1, "size": 2, "vocabulary": VOCABULARY}
BYTES_PER_TOKEN = 16
LIMITS = {"cache_bytes": 10_000, "logits_bytes": 10_000, "prefill_tokens": 8, "max_queued_texts": 5}


class CountingNetwork:
    """Says the numbers before the last one of a text, down to the end: of a text that ends with 3 it says 2, 1, 0."""

    def __init__(self, shape):
        self.shape = shape
        self.gate = threading_gate
        self.encoded, self.steps = [], []
        self.stepping = threading.Event()  # a text is decoded from then on, and has its room
        networks.append(self)

    @classmethod
    def certified(cls, folder, settings, *, threads):
        return cls(Shape(**settings["shape"]))

    encode_apart = GenerateNetwork.encode_apart

    def encode(self, texts):
        if any(UNREADABLE in text for text in texts):
            raise RuntimeError("the encoder breaks")
        self.encoded.append([text.tolist() for text in texts])
        leaks = any(LEAKS in text for text in texts)
        return [np.full((2, 1, len(text), 2), np.nan if leaks else text[-1], np.float32) for text in texts]

    def step(self, tokens, cache):
        self.stepping.set()
        self.gate.wait(30)
        first = [places[0, 0, 0] for places in list(cache.tensors())[2]]
        sources = [NAN if np.isnan(each) else int(each) for each in first]
        assert len(sources) == len(tokens)
        if BREAKS in sources:
            raise RuntimeError("the network breaks")
        said = [source - kept - 1 for source, kept in zip(sources, cache.kept, strict=True)]
        self.steps.append(said)
        cache.keep(*np.zeros((2, 1, *tokens.shape, 1, 2), np.float32))
        logits = np.zeros((len(said), VOCABULARY), np.float32)
        logits[np.arange(len(said)), said] = 1
        logits[[row for row, source in enumerate(sources) if source == NAN]] = np.nan
        return np.repeat(logits[:, None], tokens.shape[1], axis=1)


threading_gate = threading.Event()
networks = []


class Asked:
    """A text, and what was told of it."""

    def __init__(self, *source, lane="interactive", most=50, least=0, beams=1, **about):
        self.told, self.over = [], threading.Event()
        self.text = GeneratedText(
            source=np.array(source, np.int64),
            choice=Choice(ends=(END,), min_new_tokens=least, beams=beams),
            max_new_tokens=most,
            pieces=Pieces(byte_level_tokenizer()),
            tell=self._tell,
            lane=lane,
            **about,
        )

    def _tell(self, text, piece):
        self.told.append(piece)
        if text.ended:
            self.over.set()

    def ended(self):
        assert self.over.wait(30)
        return self.text.tokens, self.text.finish
