"""What Triton loads as the tokenize step of a version: texts in, packed token ids out."""

from __future__ import annotations

from .tokenize.step import TritonPythonModel

__all__ = ["TritonPythonModel"]
