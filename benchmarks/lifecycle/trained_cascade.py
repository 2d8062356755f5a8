"""A cascade of two classifiers that were trained for it, whether it holds what it states, and how fast it is.

    python -m benchmarks.lifecycle.trained_cascade [--texts 1500] [--rounds 5]

The large pipeline is all six layers of MiniLM, the small one the first two, each trained with a head of its own. A text
is a message of examples/support_messages.tsv with a part of another one after it, and its label that of the first.
Texts that train, those that thresholds are fitted on, and those that are held out are others, drawn alike. The rates
are of calls about all held-out texts in the lane `bulk`, of one pipeline after the other, in rounds.
"""

from __future__ import annotations

import argparse
import csv
import json
import tempfile
import time
from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np

from benchmarks.exported import CHECKPOINT
from benchmarks.machine import describe_machine
from encserve import Client
from encserve_export.cascade.asking import FreshTransport
from encserve_export.cascade.cascade import make_cascade
from encserve_export.cascade.config import CascadeConfig
from encserve_export.config import ExportConfig
from encserve_export.export import export
from encserve_repository.manifest import Manifest
from encserve_server.config import ServeConfig
from encserve_server.launcher.ports import free_ports
from encserve_server.launcher.server import TritonServer

MESSAGES = Path(__file__).parents[2] / "examples" / "support_messages.tsv"
LAYERS = {"small": 2, "large": 6}
AGREEMENT, MOST_WRONG, CONFIDENCE = 0.99, 0.02, 0.95
TRAINING_TEXTS = 600
EPOCHS = {2: 3, 6: 2}
LEARNING_RATES = {2: 5e-4, 6: 2e-4}
"""By the number of layers: fewer take more training."""
BATCH = 32
_TIMEOUT_S = 600.0


@dataclass(frozen=True)
class Texts:
    """Texts with their labels."""

    texts: list[str]
    labels: list[str]


def main() -> None:
    """Train, export, fit, serve, ask."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--texts", type=int, default=1_500, help="to fit on, and as many that are held out")
    parser.add_argument("--rounds", type=int, default=5)
    arguments = parser.parse_args()
    print(describe_machine())
    with tempfile.TemporaryDirectory() as folder:
        repository = Path(folder) / "models"
        fitted_on, held_out = make_pair(Path(folder), repository, arguments.texts)
        manifest = fit(Path(folder), repository, fitted_on)
        stated = manifest.cascade["fitted"]
        print(f"fitted on {len(fitted_on.texts)} texts: {json.dumps(stated)}")
        with serving(repository) as server, client_of(server) as client:
            found = judged(client, held_out)
            print(f"{len(held_out.texts)} held-out texts: {json.dumps(found)}")
            rates: dict[str, list[float]] = {name: [] for name in ("small", "large", "both")}
            for _ in range(arguments.rounds):
                for name, measured in rates.items():
                    measured.append(rate(client, name, held_out))
        for name, measured in rates.items():
            print(f"{name}: {median(measured):.0f} texts/s ({min(measured):.0f} to {max(measured):.0f})")
        ratios = [both / large for both, large in zip(rates["both"], rates["large"], strict=True)]
        print(
            f"texts a second beside the large one: {median(ratios):.2f} ({min(ratios):.2f} to {max(ratios):.2f}); "
            f"predicted {stated['speed_up']:.2f}"
        )


def make_pair(folder: Path, repository: Path, count: int) -> tuple[Texts, Texts]:
    """Train and export both pipelines. Returns texts to fit on, and as many that are held out."""
    messages = read_messages()
    drawn = mixed(messages, TRAINING_TEXTS + 2 * count, np.random.default_rng(0))
    learned, fitted_on, held_out = (
        Texts(drawn.texts[begin:end], drawn.labels[begin:end])
        for begin, end in pairwise((0, TRAINING_TEXTS, TRAINING_TEXTS + count, TRAINING_TEXTS + 2 * count))
    )
    for name, layers in LAYERS.items():
        checkpoint = folder / name
        train(sorted(set(messages.labels)), learned, layers, checkpoint)
        export(ExportConfig(checkpoint=str(checkpoint), name=name, repository=repository))
    return fitted_on, held_out


def read_messages() -> Texts:
    """The messages of the example."""
    with MESSAGES.open(encoding="utf-8", newline="") as stream:
        rows = list(csv.DictReader(stream, delimiter="\t", quoting=csv.QUOTE_NONE))
    return Texts([row["text"] for row in rows], [row["label"] for row in rows])


def mixed(messages: Texts, count: int, draws: np.random.Generator) -> Texts:
    """So many distinct texts: a message with a part of another one after it."""
    found: dict[str, str] = {}
    while len(found) < count:
        first, second = draws.choice(len(messages.texts), 2, replace=False)
        words = messages.texts[second].split()
        begin = int(draws.integers(len(words)))
        text = f"{messages.texts[first]} {' '.join(words[begin : begin + 1 + len(words) // 2])}"
        found[text] = messages.labels[first]
    return Texts(list(found), list(found.values()))


def train(names: Sequence[str], texts: Texts, layers: int, folder: Path) -> None:
    """Write a checkpoint: the first layers of MiniLM and a head, trained on texts."""
    import torch
    from transformers import AutoTokenizer, BertForSequenceClassification

    torch.manual_seed(0)
    labels = dict(enumerate(names))
    model: Any = BertForSequenceClassification.from_pretrained(
        CHECKPOINT, id2label=labels, label2id={name: index for index, name in labels.items()}
    )
    model.bert.encoder.layer = model.bert.encoder.layer[:layers]
    model.config.num_hidden_layers = layers
    tokenizer = AutoTokenizer.from_pretrained(CHECKPOINT, model_max_length=64)
    encoded = tokenizer(texts.texts, padding=True, truncation=True, return_tensors="pt")
    wanted = torch.tensor([names.index(label) for label in texts.labels])  # (n,)
    model.eval()  # without dropout: the texts are few, and many epochs would take long
    model.bert.embeddings.requires_grad_(False)
    trained = [each for each in model.parameters() if each.requires_grad]
    optimizer = torch.optim.AdamW(trained, lr=LEARNING_RATES[layers])
    for _ in range(EPOCHS[layers]):
        order = torch.randperm(len(wanted))
        for begin in range(0, len(wanted), BATCH):
            rows = order[begin : begin + BATCH]
            part = {name: tensor[rows] for name, tensor in encoded.items()}
            loss = torch.nn.functional.cross_entropy(model(**part).logits, wanted[rows])
            optimizer.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            optimizer.step()
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)


def serving(repository: Path) -> TritonServer:
    """A server of the repository on free ports."""
    http_port, grpc_port, metrics_port = free_ports(3)
    return TritonServer(
        ServeConfig(
            repository=repository,
            http_port=http_port,
            grpc_port=grpc_port,
            metrics_port=metrics_port,
            startup_timeout_s=_TIMEOUT_S,
        )
    )


def client_of(server: TritonServer) -> Client:
    """A client whose texts are computed each time."""
    return Client(transport=FreshTransport(server.grpc_url), timeout_s=_TIMEOUT_S)


def fit(folder: Path, repository: Path, texts: Texts) -> Manifest:
    """Publish the cascade `both`."""
    file = folder / "texts.jsonl"
    lines = [{"text": text, "label": label} for text, label in zip(texts.texts, texts.labels, strict=True)]
    file.write_text("\n".join(map(json.dumps, lines)), encoding="utf-8")
    config = CascadeConfig(
        name="both",
        small="small",
        large="large",
        texts=file,
        repository=repository,
        agreement=AGREEMENT,
        most_wrong=MOST_WRONG,
        confidence=CONFIDENCE,
    )
    with serving(repository) as server, client_of(server) as client:
        return make_cascade(config, client, stage=lambda doing: nullcontext(), say=print)


def judged(client: Client, texts: Texts) -> dict[str, float]:
    """What of the statements is true of texts: shares of all of them."""
    small, large, both = (
        client.classify(texts.texts, model=name, priority="bulk", top_k=1) for name in ("small", "large", "both")
    )
    assert both.decisions is not None
    agree, right, unmarked = (
        np.array([one == other for one, other in zip(both.labels, large.labels, strict=True)]),
        np.array([label == wanted for (label,), wanted in zip(both.labels, texts.labels, strict=True)]),
        np.array([decision != "review" for decision in both.decisions]),
    )
    return {
        "agreement": float(agree.mean()),
        "wrong_and_unmarked": float((~right & unmarked).mean()),
        "escalated": float(np.mean([decision != "small" for decision in both.decisions])),
        "reviewed": float((~unmarked).mean()),
        **{
            f"{name}_right": float(
                np.mean([label == wanted for (label,), wanted in zip(said.labels, texts.labels, strict=True)])
            )
            for name, said in (("small", small), ("large", large), ("both", both))
        },
    }


def rate(client: Client, name: str, texts: Texts) -> float:
    """Texts a second of one call."""
    began_s = time.perf_counter()
    client.classify(texts.texts, model=name, priority="bulk", top_k=1)
    return len(texts.texts) / (time.perf_counter() - began_s)


if __name__ == "__main__":
    main()
