"""The environment variables of a `tritonserver`: what one out of the wheel looks up, and what the steps are told."""

import sys
from collections.abc import Mapping
from pathlib import Path

from encserve_server.config import ServeConfig
from encserve_server.host.locate import Wheel
from encserve_server.questions import health_token
from encserve_server.steps.encode.network.loading import NO_TELEMETRY
from encserve_server.steps.instance.load_page import FOLDER_VARIABLE
from encserve_server.steps.instance.restarts import RESTARTS_VARIABLE
from encserve_server.steps.request.health import TOKEN_VARIABLE
from encserve_server.steps.trace.settings import COLLECTOR_VARIABLE, IDS_VARIABLE, SHARE_VARIABLE


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


def steps_environment(
    config: ServeConfig, *, inherited: Mapping[str, str], folder: Path, admin_secret: str, restarts: int
) -> dict[str, str]:
    """Return what the steps of a server are told: its runtime folder, how they know questions of health, how often it
    was started again, which collector is told of which requests, and, unless `inherited` has another word for it, that
    ONNX Runtime is to tell its maker nothing: steps of versions from before they saw to it themselves do not."""
    return {
        NO_TELEMETRY: inherited.get(NO_TELEMETRY, "1"),
        FOLDER_VARIABLE: str(folder),
        TOKEN_VARIABLE: health_token(admin_secret),
        RESTARTS_VARIABLE: str(restarts),
        COLLECTOR_VARIABLE: config.otlp,
        SHARE_VARIABLE: str(config.trace_share),
        IDS_VARIABLE: str(int(config.trace_request_ids)),
    }


def _prepend(folders: list[Path], before: str | None) -> str:
    return ":".join([*map(str, folders), *([before] if before else [])])
