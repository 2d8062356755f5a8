"""How the two graphs of a version get their precision: as those of encoders, each looked at on inputs of its own."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from encserve_export.checkpoint.checkpoint import Checkpoint
from encserve_export.config import Precision
from encserve_export.engines.ways import Way
from encserve_export.generation.defaults import GenerationDefaults
from encserve_export.generation.graphs import shape_of
from encserve_export.network.graph_file import Pack, read_graph_file, write_graph_file
from encserve_export.precision.int8_rows import to_integers
from encserve_export.precision.whole_blocks import BLOCK, attend_in_whole_blocks
from encserve_export.texts.calibration import CORPUS, corpus_texts, packs_of
from encserve_export.texts.parts import Part, corpus_of, digest_of
from encserve_export.texts.trial_texts import ordinary_texts
from encserve_server.steps.encode.host.cores import usable_cores
from encserve_server.steps.generate.decoder.network import ENCODER_FILE, STEP_FILE, GenerateNetwork

from .feeds import StepFeeds
from .sources import Source, rows_of_sources, sources_of

_DECODED, _LONGEST_TOKENS = 128, 128
"""How many texts the step is looked at with, and about how long the longest of them are."""
_NEW_TOKENS = 32
"""How many new tokens each of them gets at most."""
_STEPS_TRIED, _STEPS_SHOWN = 8, 4
_ENCODED_SHOWN = 8
_CACHE = "keys and values of tokens are fp32"


@dataclass(frozen=True, kw_only=True)
class Made:
    """What the manifest says of the graphs of a precision."""

    how: dict[str, Any]
    calibration: dict[str, Any]
    """The texts that were looked at; empty where none were."""


def make_precision(way: Way, checkpoint: Checkpoint, defaults: GenerationDefaults, folder: Path) -> Made:
    """Give the FP32 graphs in `folder` the precision of `way`.

    Raises:
        Unsupported: nothing of one of them can be in it.
    """
    return _MAKING[way.precision, way.engine.runtime.value if way.engine.runtime else ""](checkpoint, defaults, folder)


def _as_it_is(checkpoint: Checkpoint, defaults: GenerationDefaults, folder: Path) -> Made:
    return Made(how={}, calibration={})


def _in_whole_blocks(checkpoint: Checkpoint, defaults: GenerationDefaults, folder: Path) -> Made:
    """The places of a cache are whole blocks anyway."""
    model = read_graph_file(folder / ENCODER_FILE)
    attend_in_whole_blocks(model)
    write_graph_file(model, folder / ENCODER_FILE)
    return Made(how={"attention_block": BLOCK, "cache": _CACHE}, calibration={})


def _integer_rows(checkpoint: Checkpoint, defaults: GenerationDefaults, folder: Path) -> Made:
    network = GenerateNetwork(folder, shape_of(checkpoint.model, len(checkpoint.tokenizer)), threads=usable_cores())
    prompts = defaults.prompts
    texts = corpus_texts(checkpoint)
    decoded = [each.text for each in corpus_of(Part.CALIBRATION).sample(_DECODED, longest_tokens=_LONGEST_TOKENS)]
    sources, others = (sources_of(checkpoint, prompts, each) for each in (texts, decoded))
    how = to_integer_graphs(
        folder,
        network,
        defaults,
        encoded=packs_of(checkpoint, rows_of_sources(sources)),
        decoded=others,
        tried=sources_of(checkpoint, prompts, [each.text for each in ordinary_texts(checkpoint.max_length)]),
    )
    calibration = {
        "source": CORPUS,
        "sha256": digest_of(texts),
        "texts": len(texts),
        "tokens": sum(map(len, sources)),
        "decoded_texts": len(others),
    }
    return Made(how=how, calibration=calibration)


def to_integer_graphs(
    folder: Path,
    network: GenerateNetwork,
    defaults: GenerationDefaults,
    *,
    encoded: Sequence[Pack],
    decoded: Sequence[Source],
    tried: Sequence[Source],
) -> dict[str, Any]:
    """Have linear layers of both graphs in `folder` multiply integers; returns what the manifest says of it.

    Args:
        folder: of the graphs, which are rewritten in place.
        network: the same as they were.
        defaults: how texts begin and end.
        encoded: inputs of the encoder, on which its layers are looked at.
        decoded: texts, on what is generated of which the layers of the step are looked at.
        tried: others, by which it is chosen which layers become integers.

    Raises:
        Unsupported: no layer of one of them can be int8.
    """
    most = min(_NEW_TOKENS, defaults.max_new_tokens)
    feeds = StepFeeds(network, defaults, tried, most=most).some(_STEPS_TRIED)
    step = to_integers(
        folder / STEP_FILE,
        StepFeeds(network, defaults, decoded, most=most),
        tried=feeds,
        shown=feeds[:: max(1, len(feeds) // _STEPS_SHOWN)],  # of all lengths, by which they are in order
    )
    alone = [_pack(source) for source in tried]
    shown = alone[:: max(1, len(alone) // _ENCODED_SHOWN)]
    encoder = to_integers(folder / ENCODER_FILE, encoded, tried=alone, shown=shown)
    how: dict[str, Any] = {"encoder": encoder, "step": step, "cache": _CACHE}
    how["layers"] = [
        {**layer, "layer": f"{graph}: {layer['layer']}"}
        for graph in ("encoder", "step")
        for layer in how[graph].pop("layers")
    ]
    return how


def _pack(source: Source) -> Pack:
    return {"input_ids": source, "lengths": np.array([len(source)], np.int64)}


_MAKING: dict[tuple[Precision, str], Callable[[Checkpoint, GenerationDefaults, Path], Made]] = {
    (Precision.FP32, "onnxruntime"): _as_it_is,
    (Precision.FP32, "openvino"): _in_whole_blocks,
    (Precision.BF16, "openvino"): _in_whole_blocks,
    (Precision.INT8, "onnxruntime"): _integer_rows,
}
