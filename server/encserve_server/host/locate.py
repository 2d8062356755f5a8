"""Where `tritonserver` is: a full installation on PATH (NVIDIA's images), or inside the nvidia-pytriton wheel."""

import importlib.util
import shutil
from dataclasses import dataclass
from pathlib import Path

from encserve_server.errors import TritonNotFound


@dataclass(frozen=True, kw_only=True)
class Wheel:
    """The folders of the nvidia-pytriton wheel that a server needs to be told of."""

    backend_folder: Path
    cache_folder: Path
    stub_folder: Path
    """One folder per Python minor version, each with the `triton_python_backend_stub` that embeds it."""
    libs_folder: Path


@dataclass(frozen=True, kw_only=True)
class Installation:
    """A `tritonserver` executable."""

    executable: Path
    wheel: Wheel | None
    """None for a full installation, which finds its own backends, caches and libraries."""


def find_triton() -> Installation:
    """Return `tritonserver` on PATH, else that of the nvidia-pytriton wheel, which is not imported.

    Raises:
        TritonNotFound: neither is there.
    """
    if on_path := shutil.which("tritonserver"):
        return Installation(executable=Path(on_path), wheel=None)
    spec = importlib.util.find_spec("pytriton")
    if spec is not None and spec.origin is not None:
        package_folder = Path(spec.origin).parent
        executable = package_folder / "tritonserver" / "bin" / "tritonserver"
        if executable.is_file():
            return Installation(executable=executable, wheel=_wheel_folders(package_folder))
    raise TritonNotFound(
        "no tritonserver on PATH, and no nvidia-pytriton wheel in this Python: "
        "`pip install '.[server]'` in a clone of encserve brings it"
    )


def _wheel_folders(package_folder: Path) -> Wheel:
    triton_folder = package_folder / "tritonserver"
    return Wheel(
        backend_folder=triton_folder / "backends",
        cache_folder=triton_folder / "caches",
        stub_folder=triton_folder / "python_backend_stubs",
        libs_folder=package_folder.parent / "nvidia_pytriton.libs",
    )
