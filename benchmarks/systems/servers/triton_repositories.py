"""Model repositories of texts as people write them by hand."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path

from benchmarks.exported import CHECKPOINT, ctranslate2_folder, padded_graph
from benchmarks.places import REPOSITORY_ROOT, interpreter
from benchmarks.systems.in_process.embedder import cores

MAX_BATCH = 64
BUCKETS = (32, 64, 128, 256)
"""Tokens to which texts are padded, each with a queue of its own."""
SOURCES = REPOSITORY_ROOT / "benchmarks" / "servers"

_TEXT = """
backend: "python" max_batch_size: 64
input [{ name: "text" data_type: TYPE_STRING dims: [1] }]
"""
_VECTOR = 'output [{ name: "embedding" data_type: TYPE_FP32 dims: [384] }]\n'
TOKENIZE = f"""{_TEXT}
output [
  {{ name: "input_ids" data_type: TYPE_INT64 dims: [-1] }},
  {{ name: "attention_mask" data_type: TYPE_INT64 dims: [-1] }}
]
dynamic_batching {{}}
"""
ENCODE = f"""
backend: "python" max_batch_size: 64
input [
  {{ name: "input_ids" data_type: TYPE_INT64 dims: [-1] }},
  {{ name: "attention_mask" data_type: TYPE_INT64 dims: [-1] }}
]
{_VECTOR}
"""
PREFERRED = "dynamic_batching { preferred_batch_size: [8, 16, 32] max_queue_delay_microseconds: 2000 }"
ENSEMBLE = f"""
platform: "ensemble" max_batch_size: 64
input [{{ name: "text" data_type: TYPE_STRING dims: [1] }}]
{_VECTOR}
ensemble_scheduling {{ step [
  {{ model_name: "tokenize" model_version: -1
    input_map {{ key: "text" value: "text" }}
    output_map {{ key: "input_ids" value: "ids" }} output_map {{ key: "attention_mask" value: "mask" }} }},
  {{ model_name: "encode" model_version: -1
    input_map {{ key: "input_ids" value: "ids" }} input_map {{ key: "attention_mask" value: "mask" }}
    output_map {{ key: "embedding" value: "embedding" }} }}
] }}
"""


def any_length(repository: Path) -> None:
    """As tutorials do it: a tokenizer step that pads, an encoder step that gets requests of equal length together."""
    _model(repository, "tokenize", TOKENIZE, "padded_triton/tokenize.py", {"tokenizer.json": _tokenizer()})
    _model(
        repository,
        "encode",
        f"{ENCODE} dynamic_batching {{}}",
        "padded_triton/encode.py",
        {"model.onnx": padded_graph()},
    )
    _model(repository, "minilm", ENSEMBLE, None, {})


def buckets(repository: Path) -> None:
    """A front that sends each text to the encoder of its bucket: each has a queue, where texts of one length meet."""
    for bucket in BUCKETS:
        _model(
            repository,
            f"encode_{bucket}",
            ENCODE + PREFERRED,
            "padded_triton/encode.py",
            {"model.onnx": padded_graph()},
        )
    config = f"{_TEXT} {_VECTOR} dynamic_batching {{}} {_parameter('buckets', ','.join(map(str, BUCKETS)))}"
    _model(repository, "minilm", config, "padded_triton/front.py", {"tokenizer.json": _tokenizer()})


def ctranslate2(kind: str, repository: Path) -> None:
    """One model for texts, of which as many instances as there are cores compute on a thread each."""
    packages = next(interpreter("ctranslate2").parents[1].glob("lib/python*/site-packages"))
    config = f"""{_TEXT} {_VECTOR} dynamic_batching {{}} instance_group [{{ kind: KIND_CPU count: {cores()} }}]
    {_parameter("packages", str(packages))} {_parameter("folder", str(ctranslate2_folder()))}
    {_parameter("kind", kind)}"""
    _model(repository, "minilm", config, "ctranslate2_triton/model.py", {})


REPOSITORIES: Mapping[str, Callable[[Path], None]] = {
    "any length": any_length,
    "buckets": buckets,
    "ctranslate2 float32": partial(ctranslate2, "float32"),
    "ctranslate2 int8": partial(ctranslate2, "int8"),
}
"""Kind -> what writes it."""


def _model(repository: Path, name: str, config: str, source: str | None, files: Mapping[str, Path]) -> None:
    version = repository / name / "1"
    version.mkdir(parents=True)
    (repository / name / "config.pbtxt").write_text(config)
    if source is not None:
        shutil.copyfile(SOURCES / source, version / "model.py")
    for target, file in files.items():
        shutil.copyfile(file, version / target)


def _parameter(key: str, value: str) -> str:
    return f'parameters {{ key: "{key}" value: {{ string_value: "{value}" }} }}'


def _tokenizer() -> Path:
    return CHECKPOINT / "tokenizer.json"
