"""What Triton loads as the generate step of a version: texts in, new texts out, piece by piece."""

from __future__ import annotations

from .generate.step import TritonPythonModel

__all__ = ["TritonPythonModel"]
