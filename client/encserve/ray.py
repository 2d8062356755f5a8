"""Certified pipelines in Ray Data: the answers of a server, or of `encserve.local`, as columns of a dataset.

    import ray
    from encserve.ray import ServerPredictor

    texts = ray.data.read_parquet("texts/")
    texts.map_batches(
        ServerPredictor,
        fn_constructor_kwargs={"model": "minilm", "url": ["host-a:8001", "host-b:8001"]},
        batch_format="pyarrow",
        batch_size=4096,
        num_cpus=0,
        compute=ray.data.ActorPoolStrategy(size=2),
    ).write_parquet("vectors/")

It needs the extra `ray`; `LocalPredictor` needs `local` as well.
"""

from importlib import import_module
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from encserve_ray.local_predictor import LocalPredictor
    from encserve_ray.server_predictor import ServerPredictor

__all__ = ["LocalPredictor", "ServerPredictor"]

_MODULES = {"LocalPredictor": "encserve_ray.local_predictor", "ServerPredictor": "encserve_ray.server_predictor"}


def __getattr__(name: str) -> Any:
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    if find_spec("pyarrow") is None:
        message = "encserve.ray needs pyarrow: pip install '.[ray]' in a clone of encserve"
        raise ModuleNotFoundError(message, name="pyarrow")
    return getattr(import_module(_MODULES[name]), name)
