"""encserve beside the best libraries on networks of other shapes, of which only the speed says something.

    python -m benchmarks.models [--models bert-base ...] [--rounds 5] [--seconds 3] [--share 1]

Weights are random, and vectors still held to those of FP32. Each network is a run of `python -m benchmarks` with a few
of its systems and the first workload, whose results go to benchmarks/results/models.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

from benchmarks.exported import CHECKPOINT
from benchmarks.gpu.networks import Shape, write_random
from benchmarks.places import CACHE
from benchmarks.workloads import LONGEST

SHAPES = {
    "bert-base": Shape(config="BertConfig", sizes={}, typed=True),
    "xlm-roberta-base": Shape(
        config="XLMRobertaConfig",
        sizes={"vocab_size": 250_002, "max_position_embeddings": 514, "type_vocab_size": 1},
        typed=False,
    ),
    "modernbert-base": Shape(config="ModernBertConfig", sizes={}, typed=False),
}
"""bert-base-uncased, xlm-roberta-base and ModernBERT-base."""
SYSTEMS = (
    *("roofline, fp32 torch", "roofline, fp32 onnxruntime", "encserve", "encserve, OpenVINO"),
    *("sentence-transformers", "sentence-transformers openvino", "CTranslate2"),
)


def main() -> None:
    parser = argparse.ArgumentParser(prog="benchmarks.models", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--models", nargs="+", choices=SHAPES, default=list(SHAPES))
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=3.0)
    parser.add_argument("--share", type=float, default=1.0)
    arguments = parser.parse_args()
    for name in arguments.models:
        folder = CACHE / "checkpoints" / name
        if not (folder / "modules.json").exists():
            write(SHAPES[name], folder)
        target = Path("benchmarks/results/models") / name
        target.parent.mkdir(parents=True, exist_ok=True)
        asked = {
            "--systems": ";".join(SYSTEMS),
            "--workloads": "mixed",
            "--modes": "32x1,4x32,1x1024",
            "--rounds": arguments.rounds,
            "--seconds": arguments.seconds,
            "--share": arguments.share,
            "--json": target.with_suffix(".json"),
            "--page": target.with_suffix(".html"),
        }
        command = [sys.executable, "-m", "benchmarks", *(str(each) for pair in asked.items() for each in pair)]
        subprocess.run(command, check=True, env={**os.environ, "ENCSERVE_BENCH_CHECKPOINT": str(folder)})


def write(shape: Shape, folder: Path) -> None:
    """A checkpoint with random weights and MiniLM's tokenizer: a word of the workloads is one token of it, and every
    one of its tokens is in the larger vocabularies too."""
    import transformers

    write_random(shape, folder, tiny=False)
    make: Any = transformers.PreTrainedTokenizerFast
    make(
        tokenizer_file=str(CHECKPOINT / "tokenizer.json"),
        model_max_length=LONGEST,
        pad_token="[PAD]",
        unk_token="[UNK]",
        cls_token="[CLS]",
        sep_token="[SEP]",
        mask_token="[MASK]",
        model_input_names=["input_ids", *(["token_type_ids"] if shape.typed else []), "attention_mask"],
    ).save_pretrained(folder)


if __name__ == "__main__":
    main()
