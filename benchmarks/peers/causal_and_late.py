"""A causal embedder and a model for late interaction end to end, beside sentence-transformers in process: the same
weights, texts and cores, in one run.

    python -m benchmarks.peers.causal_and_late [--rounds 5] [--texts 384] [--json FILE] [--write docs/performance.md]

The causal one has the shape of a Qwen3 of 0.1 B parameters, with random weights, and gives the vector of the last
token. The other is MiniLM with a projection to 128 that is drawn, and gives a vector for each token, as ColBERT does
for documents. Both in FP32. That the vectors are those of the library is checked before anything is measured.
"""

from __future__ import annotations

import argparse
import json
import statistics
import tempfile
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.exported import CHECKPOINT, MODEL, pipeline
from benchmarks.machine import describe_machine
from benchmarks.peers.throughput import Workload, embed, end_to_end, in_process, make_workload, measure, ratio
from benchmarks.served import served
from benchmarks.written import Marks, table
from encserve import AsyncClient, Client

MARKS = Marks("<!-- benchmarks.peers.causal_and_late: begin -->", "<!-- benchmarks.peers.causal_and_late: end -->")
MOST_DIFFERENT = 1e-4
"""The largest difference of a component of normalised vectors that two right implementations have."""
LIBRARY, OURS = "sentence-transformers", "encserve"
TOGETHER = f"{LIBRARY}, one call for all texts"
PAIRS = {
    f"{OURS}, 32 x 1": f"{LIBRARY}, 1 text a call",
    f"{OURS}, 4 x 32": f"{LIBRARY}, 32 texts a call",
}
"""What is served -> the library with requests of the same size."""


@dataclass(frozen=True)
class Kind:
    """A model, and how it is asked: by the library, whose call takes texts, and of the server, by both clients."""

    about: str
    make: Callable[[Path], Path]
    load: Callable[[Path], Callable[..., Any]]
    ask: Callable[[AsyncClient, list[str]], Awaitable[object]]
    once: Callable[[Client, list[str]], list[Any]]


def main() -> None:
    """For each kind export, serve, compare, measure in rounds; then report."""
    arguments = parse_arguments()
    machine = describe_machine()
    workload = make_workload(arguments.texts)
    rounds = {kind.about: measured(kind, workload, arguments.rounds) for kind in KINDS}
    found = {about: figures(seconds, workload) for about, seconds in rounds.items()}
    rows = [
        [about, system, f"{one['texts_per_s']:,.1f}", written(one, "same"), written(one, "together")]
        for about, systems in found.items()
        for system, one in systems.items()
    ]
    heads = ["model", "system", "texts/s", "times the library, same requests", "times one call for all texts"]
    tools = {name: version(name) for name in ("onnxruntime", LIBRARY, "torch", "transformers")}
    mean = workload.tokens / len(workload.texts)
    how = f"{machine['cpu']}, {machine['cores']} cores, load {machine['load_before']} before; "
    how += f"{arguments.texts} texts of {mean:.0f} tokens on average, {arguments.rounds} rounds; "
    text = f"{how}{', '.join(f'{name} {number}' for name, number in tools.items())}.\n\n{table(heads, rows)}"
    print(text)
    if arguments.json:
        arguments.json.write_text(json.dumps({"machine": machine, "tools": tools, "models": found}, indent=2) + "\n")
    if arguments.write:
        MARKS.put(arguments.write, text)


def parse_arguments() -> argparse.Namespace:
    """The options."""
    parser = argparse.ArgumentParser(prog="benchmarks.peers.causal_and_late")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--texts", type=int, default=384)
    parser.add_argument("--json", type=Path, help="write the figures here")
    parser.add_argument("--write", type=Path, help="a page whose table is written anew")
    return parser.parse_args()


def measured(kind: Kind, workload: Workload, rounds: int) -> dict[str, list[float]]:
    """Seconds of each system in each round.

    Raises:
        SystemExit: the vectors of the two differ; says by how much.
    """
    with tempfile.TemporaryDirectory() as folder:
        work = Path(folder)
        checkpoint = kind.make(work / "checkpoint")
        encode = kind.load(checkpoint)
        with served(pipeline(work, checkpoint=checkpoint)) as server:
            with Client(server.grpc_url) as client:
                some = workload.texts[:64]
                pairs = zip(kind.once(client, some), encode(some, show_progress_bar=False), strict=True)
                difference = max(float(np.abs(np.asarray(one) - np.asarray(other)).max()) for one, other in pairs)
            if difference > MOST_DIFFERENT:
                raise SystemExit(f"{kind.about}: vectors differ by {difference:.1e}, {MOST_DIFFERENT:.0e} at most")
            systems = {TOGETHER: in_process(encode, workload, size=len(workload.texts))}
            for (own, same), (streams, size) in zip(PAIRS.items(), ((32, 1), (4, 32)), strict=True):
                systems[same] = in_process(encode, workload, size=size)
                systems[own] = end_to_end(server.grpc_url, workload, streams=streams, size=size, ask=kind.ask)
            return measure(systems, rounds)


def figures(rounds: dict[str, list[float]], workload: Workload) -> dict[str, dict[str, Any]]:
    """Of each system its rate, and of ours the ratios to the library, round by round."""
    found: dict[str, dict[str, Any]] = {}
    for name, seconds in rounds.items():
        found[name] = {"texts_per_s": round(len(workload.texts) / statistics.median(seconds), 1)}
        if name in PAIRS:
            found[name] |= {"same": ratio(rounds[PAIRS[name]], seconds), "together": ratio(rounds[TOGETHER], seconds)}
    return found


def written(one: dict[str, Any], name: str) -> str:
    """A ratio, with its spread over the rounds."""
    if name not in one:
        return ""
    return f"{one[name]['median']:.2f} ({one[name]['min']:.2f} to {one[name]['max']:.2f})"


def make_causal(folder: Path) -> Path:
    """A Qwen3 of 0.1 B parameters with random weights and MiniLM's tokenizer; its vector is the last token's."""
    import torch
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.base.modules import Transformer
    from sentence_transformers.sentence_transformer.modules import Normalize, Pooling
    from transformers import AutoTokenizer, Qwen3Config, Qwen3Model

    tokenizer = AutoTokenizer.from_pretrained(str(CHECKPOINT))
    config = Qwen3Config(
        vocab_size=len(tokenizer),
        hidden_size=768,
        intermediate_size=2_048,
        num_hidden_layers=12,
        num_attention_heads=12,
        num_key_value_heads=4,
        head_dim=64,
        max_position_embeddings=512,
    )
    torch.manual_seed(0)
    network = folder / "network"
    Qwen3Model(config).save_pretrained(network)
    tokenizer.save_pretrained(network)
    modules = [Transformer(str(network), max_seq_length=256), Pooling(768, pooling_mode="lasttoken"), Normalize()]
    return _saved(SentenceTransformer(modules=modules, device="cpu"), folder / "saved")


def make_late(folder: Path) -> Path:
    """MiniLM with a drawn projection of each token to 128."""
    import torch
    from sentence_transformers import MultiVectorEncoder
    from sentence_transformers.base.modules import Dense, Normalize, Transformer

    torch.manual_seed(0)
    network = Transformer(str(CHECKPOINT), query_length=32, document_length=256)
    dense = Dense(384, 128, bias=False, activation_function=torch.nn.Identity(), module_input_name="token_embeddings")
    modules = [network, dense, Normalize("token_embeddings")]
    return _saved(MultiVectorEncoder(modules=modules, device="cpu", similarity_fn_name="maxsim"), folder)


def load_causal(folder: Path) -> Callable[..., Any]:
    """The library's way to vectors of texts."""
    from sentence_transformers import SentenceTransformer

    return SentenceTransformer(str(folder), device="cpu").encode


def load_late(folder: Path) -> Callable[..., Any]:
    """The library's way to vectors of the tokens of documents."""
    from sentence_transformers import MultiVectorEncoder

    return MultiVectorEncoder(str(folder), device="cpu").encode_document


async def embed_documents(client: AsyncClient, texts: list[str]) -> object:
    """What a caller asks of late interaction."""
    return await client.embed_tokens(texts, model=MODEL, input_type="document")


def _saved(model: Any, folder: Path) -> Path:
    model.save_pretrained(str(folder), create_model_card=False)
    return folder


KINDS = (
    Kind(
        about="causal embedder, Qwen3 of 0.1 B",
        make=make_causal,
        load=load_causal,
        ask=embed,
        once=lambda client, texts: list(client.embed(texts, model=MODEL).vectors),
    ),
    Kind(
        about="late interaction, MiniLM-L6 to 128",
        make=make_late,
        load=load_late,
        ask=embed_documents,
        once=lambda client, texts: client.embed_tokens(texts, model=MODEL, input_type="document").vectors,
    ),
)


if __name__ == "__main__":
    main()
