"""What sentence-transformers' own functions make of a checkpoint for its ONNX and OpenVINO backends.

    python convert_sentence_transformers.py CHECKPOINT TARGET onnx|openvino|openvino-int8 [TEXTS.jsonl]

TARGET becomes the checkpoint, and in its folder `onnx` the plain graph, the one of ONNX Runtime's optimiser for
transformers (O3) and the one in int8, or in `openvino` the plain one, or that and the one in int8, whose scales come
from texts.
"""

import json
import shutil
import sys
from pathlib import Path
from typing import Any

import sentence_transformers
from sentence_transformers import SentenceTransformer

STATIC_SAMPLES = 300


def main() -> None:
    checkpoint, target, kind, *texts = sys.argv[1:]
    shutil.copytree(checkpoint, target, dirs_exist_ok=True)
    backend, _, precision = kind.partition("-")
    settings: dict[str, Any] = {"export": True}
    if backend == "openvino":
        settings["ov_config"] = {"INFERENCE_PRECISION_HINT": "f32"}
    model = SentenceTransformer(checkpoint, device="cpu", backend=backend, model_kwargs=settings)
    model.save_pretrained(target)
    if backend == "onnx":
        sentence_transformers.export_optimized_onnx_model(model, "O3", target)
        sentence_transformers.export_dynamic_quantized_onnx_model(model, "avx512_vnni", target)
    elif precision:
        quantize(model, target, Path(texts[0]))


def quantize(model: Any, target: str, texts: Path) -> None:
    """Static int8 of weights and activations."""
    from optimum.intel import OVQuantizationConfig

    folder = Path(target) / "calibration"
    folder.mkdir()
    lines = texts.read_text(encoding="utf-8").splitlines()
    (folder / "train.jsonl").write_text(
        "".join(json.dumps({"text": json.loads(line)["text"]}) + "\n" for line in lines), encoding="utf-8"
    )
    sentence_transformers.export_static_quantized_openvino_model(
        model,
        OVQuantizationConfig(num_samples=min(STATIC_SAMPLES, len(lines))),
        target,
        dataset_name=str(folder),
        dataset_config_name="default",
        dataset_split="train",
        column_name="text",
    )


if __name__ == "__main__":
    main()
