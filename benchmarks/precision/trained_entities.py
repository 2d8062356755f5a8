"""What each precision does to the entities of two small GLiNERs, of spans and of words, that were trained here.

    python -m benchmarks.precision.trained_entities [--steps 1000]

Of random weights the scores lie about the threshold, and say little of a network that knows what it looks for. These
learn for a minute to find words by their spelling, in the texts that exports calibrate with; the figures are those of
the certificate, of its own texts. What is for GPUs is measured as a GPU would round it.
"""

from __future__ import annotations

import argparse
import random
import sys
import tempfile
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from benchmarks.places import REPOSITORY_ROOT
from encserve_export.certificate.limits import PARITY_LIMITS
from encserve_export.config import Device, Engine, ExportConfig, Precision
from encserve_export.export import export
from encserve_export.reference.networks.gliner import Gliner
from encserve_export.texts.parts import Part, corpus_of

MODES = {"words": "token_level", "spans": "markerV0"}
"""What has the scores -> the library's `span_mode`."""
WAYS: dict[Precision, dict[str, Any]] = {
    Precision.INT8: {},
    Precision.FP16: {"engine": Engine.ONNXRUNTIME, "device": Device.GPU},
    Precision.BF16: {},
}
FIGURES = ("answers_agreement", "argmax_agreement", "max_abs_diff")
WIDE = {"argmax_agreement": 0.0, "answers_agreement": 0.0, "max_abs_diff": 1e6, "answers_max_abs_diff": 1e6} | {
    "company_max_abs_diff": 1e6,
    "length_growth": 1e6,
}
"""Limits that nothing misses, so that every figure is there."""
RULES: dict[str, Callable[[str], bool]] = {
    "the weather": lambda word: word[:1].isupper(),
    "money": lambda word: any(map(str.isdigit, word)),
    "sport": lambda word: word.endswith("ing"),
    "a place to eat": lambda word: len(word) == 1 and not word.isalnum(),
    "person": lambda word: len(word) >= 9,
}
"""Labels of the certificate, and which words are in an entity of each here."""
NOTHING = [str(number) for number in range(1, 65)]
"""Labels that nothing is."""
LONGEST = 4
"""Words of an entity."""
WIDTH, BATCH, SIGNS, TOKENS, RATE = 64, 3, 150, 456, 3e-3


def main() -> None:
    """Train both, export them in each precision, and print a row for each."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--steps", type=int, default=1_000, help="of training (default: %(default)s)")
    arguments = parser.parse_args()
    torch.set_num_threads(1)  # or sums differ from one processor to another
    print(f"| | {' | '.join(FIGURES)} | misses |\n|---|{'---|' * len(FIGURES)}---|")
    for scored, mode in MODES.items():
        with tempfile.TemporaryDirectory() as place:
            folder = train(Path(place) / "checkpoint", mode, arguments.steps)
            for number, (precision, how) in enumerate(WAYS.items()):
                figures = measure(folder, Path(place) / f"{number}", precision, how)
                shown = " | ".join(f"{figures[name]['measured']:.4f}" if name in figures else "" for name in FIGURES)
                missed = missed_by(figures, precision)
                print(f"| {scored}, `{precision.value}` | {shown} | {', '.join(missed) or 'none'} |", flush=True)


def measure(folder: Path, repository: Path, precision: Precision, how: dict[str, Any]) -> dict[str, Any]:
    """The figures of the certificate, whatever they are."""
    config = ExportConfig(
        checkpoint=str(folder), name="people", repository=repository, precision=precision, limits=WIDE, **how
    )
    figures: dict[str, Any] = export(config).parity["figures"]
    return figures


def missed_by(figures: dict[str, Any], precision: Precision) -> list[str]:
    """Which limits of the precision the figures miss, among those that were widened."""
    limits = PARITY_LIMITS[precision]
    values = {name: (figures[name]["measured"], getattr(limits, name)) for name in WIDE if name in figures}
    return [name for name, (found, limit) in values.items() if (found < limit if WIDE[name] == 0 else found > limit)]


def train(folder: Path, mode: str, steps: int) -> Path:
    """Write a checkpoint with one layer of DeBERTa that has learnt the rules."""
    torch.manual_seed(0)
    random.seed(0)
    gliner = Gliner(small_checkpoint(folder, mode))
    for name, tensor in gliner.network.named_parameters():
        if tensor.ndim > 1 and "lstm" not in name:
            nn.init.normal_(tensor, std=0.02 if "embeddings" in name else tensor.shape[1] ** -0.5)
    texts = [text.text for text in corpus_of(Part.CALIBRATION).texts if len(text.text.split()) > 3]
    optimizer = torch.optim.AdamW(gliner.network.parameters(), RATE / 2)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, RATE, total_steps=steps)
    gliner.network.train()
    for module in gliner.network.modules():
        if isinstance(module, nn.Dropout):
            module.p = 0.0
    for step in range(steps):
        optimizer.zero_grad()
        losses = [loss_of(gliner, random.choice(texts)[:SIGNS]) for _ in range(BATCH)]
        torch.nn.utils.clip_grad_norm_(gliner.network.parameters(), 1.0)
        optimizer.step()
        schedule.step()
        if step % 100 == 0:
            print(f"{mode}, step {step}: {sum(losses) / BATCH:.3f}", file=sys.stderr)
    tensors = gliner.network.eval().state_dict().items()
    kept = {name: tensor.detach().clone().contiguous() for name, tensor in tensors if "position_ids" not in name}
    save_file(kept, folder / "model.safetensors")
    return folder


def small_checkpoint(folder: Path, mode: str) -> Path:
    """A checkpoint as the tests draw them, with wider layers."""
    sys.path.insert(0, str(REPOSITORY_ROOT / "tests"))
    try:
        checkpoints: Any = import_module("export.gliner.checkpoints")
    finally:
        sys.path.pop(0)
    checkpoints.SIZES.update(hidden_size=WIDTH, num_hidden_layers=1, intermediate_size=2 * WIDTH)
    checkpoints.WIDTH = WIDTH
    made: Path = checkpoints.gliner(folder, body="deberta-v2", span_mode=mode, max_len=100)
    return made


def loss_of(gliner: Gliner, text: str) -> float:
    """What is lost of a text with some labels, of which the gradients are added."""
    labels = random.sample([*RULES], random.randint(1, 5)) + random.sample(NOTHING, random.choice([0, 0, 2, 8]))
    random.shuffle(labels)
    ids, word_at, places = gliner.read(text, labels, TOKENS)
    if not word_at:
        return 0.0
    logits = gliner.logits(ids, word_at)
    wanted = wanted_of([text[begin:end] for begin, end in places], labels, of_words=gliner.of_words)
    summed = nn.functional.binary_cross_entropy_with_logits(logits, wanted, reduction="sum")
    (summed / len(word_at) / BATCH).backward()  # type: ignore[no-untyped-call]
    return float(summed.detach()) / len(word_at)


def wanted_of(words: list[str], labels: list[str], *, of_words: bool) -> Tensor:
    """What the scores should be, (w, 3, c) of words or (w, K, c) of spans: 1 of the runs of words that follow a rule,
    of at most so many words."""
    wanted = torch.zeros(len(words), 3 if of_words else LONGEST, len(labels))
    for column, label in enumerate(labels):
        begin = 0
        while begin < len(words) and label in RULES:
            last = begin
            while last < len(words) and last - begin < LONGEST and RULES[label](words[last]):
                last += 1
            if last == begin:
                begin += 1
                continue
            if of_words:
                wanted[begin, 0, column] = wanted[last - 1, 1, column] = 1
                wanted[begin:last, 2, column] = 1
            else:
                wanted[begin, last - 1 - begin, column] = 1
            begin = last
    return wanted


if __name__ == "__main__":
    main()
