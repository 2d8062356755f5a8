"""The networks that generate, by their classes in transformers, and how the decoder of each is read."""

from __future__ import annotations

from collections.abc import Callable

from transformers import PreTrainedModel

from .bart import bart_decoder
from .decoder import Decoder
from .t5 import t5_decoder

DECODERS: dict[str, Callable[[PreTrainedModel, int], Decoder]] = {
    "BartForConditionalGeneration": bart_decoder,
    "M2M100ForConditionalGeneration": bart_decoder,
    "MBartForConditionalGeneration": bart_decoder,
    "MT5ForConditionalGeneration": t5_decoder,
    "MarianMTModel": bart_decoder,
    "PegasusForConditionalGeneration": bart_decoder,
    "T5ForConditionalGeneration": t5_decoder,
    "UMT5ForConditionalGeneration": t5_decoder,
}


def decoder_of(model: PreTrainedModel, tokens: int) -> Decoder:
    """The decoder of a model, with a head for the first `tokens` of its vocabulary: a vocabulary may be padded, and no
    such place is ever to be chosen."""
    return DECODERS[type(model).__name__](model, tokens)
