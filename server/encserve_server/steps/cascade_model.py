"""What Triton loads as the cascade step of a version: texts in, the answers of one of two pipelines out."""

from __future__ import annotations

from .cascade.step import TritonPythonModel

__all__ = ["TritonPythonModel"]
