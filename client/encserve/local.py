"""A certified pipeline in your own process, without a server.

    from encserve.local import Encoder

    with Encoder("model_repository", "minilm") as encoder:
        vectors = encoder.embed(["a text", "another"]).vectors

It computes what a server would, by the same code and from the same files. It needs the extra `local`.
"""

from importlib.util import find_spec

__all__ = ["Encoder"]

for _module in ("onnxruntime", "tokenizers"):
    if find_spec(_module) is None:
        raise ModuleNotFoundError(
            f"encserve.local needs {_module}: pip install '.[local]' in a clone of encserve", name=_module
        )

from encserve_local import Encoder  # noqa: E402
