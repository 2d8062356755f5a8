"""The versions of what an export is made with."""

from __future__ import annotations

from importlib.metadata import version as installed_version

_TOOLS = ("encserve", "numpy", "onnx", "onnxruntime", "onnxscript", "tokenizers", "torch", "transformers")


def tool_versions(*further: str) -> dict[str, str]:
    """The versions of what an export is made with, by distribution."""
    return {tool: installed_version(tool) for tool in (*_TOOLS, *further)}
