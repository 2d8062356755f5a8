"""What Triton loads as the encode step of a version: packed token ids in, rows of numbers out."""

from __future__ import annotations

from .encode.step import TritonPythonModel

__all__ = ["TritonPythonModel"]
