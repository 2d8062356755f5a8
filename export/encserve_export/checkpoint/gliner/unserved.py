"""Which network of the library, or of one that grew out of it, a checkpoint is, where it is one that is not served."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

GLIREL = "glirel_config.json"
"""The settings of GLiREL, which finds relations between entities that it is told."""


@dataclass(frozen=True)
class Unserved:
    """A network, with what of `gliner_config.json` says that a checkpoint is one."""

    named: str
    kinds: tuple[str, ...] = ()
    """Values of `model_type`."""
    keys: tuple[str, ...] = ()
    """Keys that all have a value."""

    def stated(self, settings: Mapping[str, Any]) -> str | None:
        """What of the settings says it; None where nothing does."""
        if (kind := settings.get("model_type")) in self.kinds:
            return f"model_type {kind!r}"
        if self.keys and all(settings.get(key) for key in self.keys):
            return " and ".join(f"{key} {settings[key]!r:.80}" for key in self.keys)
        return None


NETWORKS = (
    Unserved("a decoder that reads a text while it grows", ("gliner_streaming_span",)),
    Unserved(
        "a network that finds relations between entities",
        ("gliner_uni_encoder_span_relex", "gliner_uni_encoder_token_relex"),
        ("relations_layer",),
    ),
    Unserved("a network that finds relations between entities", keys=("triples_layer",)),
    Unserved(
        "a network with a decoder that writes labels",
        ("gliner_uni_encoder_span_decoder", "gliner_uni_encoder_token_decoder", "gliner_encoder_token_decoder"),
        ("labels_decoder",),
    ),
    Unserved(
        "a poly-encoder, whose labels have an encoder of their own and then look at the text",
        keys=("labels_encoder", "post_fusion_schema"),
    ),
    Unserved(
        "a bi-encoder, whose labels have an encoder of their own",
        ("gliner_bi_encoder", "gliner_bi_encoder_span", "gliner_bi_encoder_token"),
        ("labels_encoder",),
    ),
    Unserved("a network with one more encoder before the spans", keys=("span_encoder_config",)),
)
"""In the order in which the library looks for them."""


def unserved(settings: Mapping[str, Any]) -> str | None:
    """What the settings state, and which network that is; None where it may be one that is served."""
    found = ((network, network.stated(settings)) for network in NETWORKS)
    return next((f"{stated}: {network.named}" for network, stated in found if stated), None)
