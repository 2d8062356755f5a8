"""Hugging Face encoder checkpoints to certified pipelines in a Triton model repository."""

from __future__ import annotations

import os
from importlib.util import find_spec

# Before any module imports ONNX Runtime, as in a step, of which the library's process may not import the name.
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")

_NEEDED = (
    "onnx",
    "onnxruntime",
    "onnxscript",
    "optimum",
    "sentence_transformers",
    "sentencepiece",
    "tokenizers",
    "torch",
    "transformers",
)


def require_extra() -> None:
    """Raise EncserveError with the line to type if a package of the extra `export` is missing."""
    from encserve import EncserveError  # here, because the library's process imports this package and nothing else

    missing = [package for package in _NEEDED if find_spec(package) is None]
    if missing:
        needs = f"encserve export needs {', '.join(missing)}"
        raise EncserveError(f"{needs}; install with: pip install '.[export]' in a clone of encserve")
