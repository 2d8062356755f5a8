"""What Triton loads as the head step of a version: rows of numbers in, answers out."""

from __future__ import annotations

from .head.step import TritonPythonModel

__all__ = ["TritonPythonModel"]
