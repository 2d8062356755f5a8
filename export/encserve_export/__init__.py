"""Hugging Face encoder checkpoints to certified pipelines in a Triton model repository."""

from __future__ import annotations

from importlib.util import find_spec

from encserve import EncserveError

_NEEDED = ("onnx", "onnxruntime", "onnxscript", "optimum", "sentencepiece", "tokenizers", "torch", "transformers")


def require_extra() -> None:
    """Raise EncserveError with the line to type if a package of the extra `export` is missing."""
    missing = [package for package in _NEEDED if find_spec(package) is None]
    if missing:
        raise EncserveError(f"encserve export needs {', '.join(missing)}; install with: pip install 'encserve[export]'")
