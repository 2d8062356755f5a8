"""Whether systems make the same tokens of a trained network, whose texts end by themselves."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from contextlib import ExitStack
from importlib import import_module
from pathlib import Path

from tokenizers import Tokenizer

from benchmarks.generation.exported import PRECISIONS, export_precisions, name_in
from benchmarks.generation.systems import BEAMS, REFERENCE, SEARCHING, Peer, reference_of, with_beams
from benchmarks.places import REPOSITORY_ROOT
from encserve_export.generation.asked_step import AskedStep
from encserve_export.reference.messages import Asked
from encserve_server.steps.encode.host.cores import usable_cores

TEXTS = 48


def identical(folder: Path, peers: Sequence[str]) -> tuple[dict[str, str], dict[str, str]]:
    """System -> how many of the texts have transformers' tokens, and of peers that did not start, or ended: why.
    encserve's engine is asked in this process, as its certificate does: over gRPC there are texts, and no tokens."""
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
    made, missing = tokens_of(peers, checkpoint, folder, ids, end=trained.END)
    searched, unsearched = tokens_of(
        [name for name in peers if name in SEARCHING], checkpoint, folder, ids, end=trained.END, beams=BEAMS
    )
    made |= {with_beams(name): tokens for name, tokens in searched.items()}
    missing |= {with_beams(name): why for name, why in unsearched.items()}
    if REFERENCE not in made:
        return {}, missing
    export_precisions(checkpoint, folder / "models")
    for precision in PRECISIONS:
        with AskedStep(folder / "models" / f"{name_in(precision)}_generate" / "1") as step:
            for name, options in (
                (f"encserve-{precision.value}", {}),
                (with_beams(f"encserve-{precision.value}"), {"num_beams": BEAMS}),
            ):
                answers = step.make([Asked({"text": [text]}, options) for text in texts])
                made[name] = [each.tokens for each in answers]
    shares = {
        name: f"{sum(own == of for own, of in zip(each, made[reference_of(name)], strict=True))} of {len(texts)}"
        for name, each in made.items()
        if reference_of(name) in made
    }
    return shares, missing


def tokens_of(
    peers: Sequence[str], checkpoint: Path, work: Path, ids: Sequence[Sequence[int]], *, end: int, beams: int = 1
) -> tuple[dict[str, list[list[int]]], dict[str, str]]:
    """Peer -> its tokens of each text, which end with the token `end`; and why others have none."""
    made: dict[str, list[list[int]]] = {}
    missing: dict[str, str] = {}
    for name in peers:
        with ExitStack() as cleanup:
            try:
                peer = Peer(name, checkpoint, work, threads=usable_cores())
                cleanup.callback(peer.close)
                made[name] = peer.until_end(ids, end=end, beams=beams)
            except SystemExit as ended:
                missing[name] = str(ended)
    return made, missing
