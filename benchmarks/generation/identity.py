"""Whether systems make the same tokens of a trained network, whose texts end by themselves."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from importlib import import_module
from pathlib import Path

from tokenizers import Tokenizer

from benchmarks.generation.systems import Peer
from benchmarks.places import REPOSITORY_ROOT
from encserve_export.config import ExportConfig
from encserve_export.export import export
from encserve_export.generation.asked_step import AskedStep
from encserve_export.reference.messages import Asked
from encserve_server.steps.encode.host.cores import usable_cores

TEXTS = 48


def identical(folder: Path, peers: Sequence[str]) -> dict[str, str]:
    """System -> how many of the texts have transformers' tokens. encserve's engine is asked in this process, as its
    certificate does: over gRPC there are texts, and no tokens."""
    sys.path.insert(0, str(REPOSITORY_ROOT / "tests"))
    try:
        passages, trained = import_module("passages"), import_module("trained_t5")
    finally:
        sys.path.pop(0)
    checkpoint = trained.write_trained_t5(folder / "trained")
    texts = [" ".join(passage.split()[begin : begin + 6]) for passage in passages.PASSAGES for begin in (0, 3, 6, 9)][
        :TEXTS
    ]
    tokenizer = Tokenizer.from_file(str(checkpoint / "tokenizer.json"))
    ids = [tokenizer.encode(text).ids for text in texts]
    made = {}
    for name in peers:
        peer = Peer(name, checkpoint, folder, threads=usable_cores())
        try:
            made[name] = peer.until_end(ids, end=trained.END)
        finally:
            peer.close()
    export(ExportConfig(checkpoint=str(checkpoint), name="t5", repository=folder / "models"))
    with AskedStep(folder / "models" / "t5_generate" / "1") as step:
        made["encserve-fp32"] = [each.tokens for each in step.make([Asked({"text": [text]}) for text in texts])]
    right = made["transformers"]
    return {
        name: f"{sum(own == of for own, of in zip(each, right, strict=True))} of {len(texts)}"
        for name, each in made.items()
    }
