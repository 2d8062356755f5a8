"""The environment variables of a `tritonserver` out of the wheel."""

import sys
from collections.abc import Mapping
from pathlib import Path

from encserve_server.host.locate import Wheel


def wheel_environment(inherited: Mapping[str, str], *, wheel: Wheel, libpython: str | None) -> dict[str, str]:
    """Return `inherited`, extended by the variables with which the wheel's server and its stubs find their files.

    The stubs find their Python, and with it their packages, through PATH; PYTHONPATH does not reach them. `libpython`
    is as in `Host`: only the folder of a path has to be added.
    """
    libraries = [wheel.libs_folder]
    if libpython and "/" in libpython:
        libraries.append(Path(libpython).parent)
    return {
        **inherited,
        "PATH": _prepend([Path(sys.executable).parent], inherited.get("PATH")),
        "LD_LIBRARY_PATH": _prepend(libraries, inherited.get("LD_LIBRARY_PATH")),
    }


def _prepend(folders: list[Path], before: str | None) -> str:
    return ":".join([*map(str, folders), *([before] if before else [])])
