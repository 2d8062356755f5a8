"""Whether this host can run the Triton of the nvidia-pytriton wheel."""

import ctypes.util
import importlib.metadata
import platform
import sys
import sysconfig
from dataclasses import dataclass
from pathlib import Path

from encserve_server.errors import UnsupportedHost

MIN_GLIBC = (2, 35)  # the wheel is built on Ubuntu 22.04
PYTHONS = ((3, 11), (3, 12))  # onnxruntime has wheels from 3.11 on, numpy 1.26 up to 3.12
MAX_NUMPY_MAJOR = 1  # with numpy 2 the Python backend of Triton 2.51 returns empty tensors
ELSEWHERE = (
    "a Linux x86-64 host, virtual machine or container (Debian 12, Ubuntu 22.04 or newer) with Python 3.11 or 3.12 "
    "serves the same repository, and the client works from here"
)


@dataclass(frozen=True, kw_only=True)
class Host:
    """What the wheel's Triton depends on."""

    system: str
    """As `platform.system()` says it: Linux, Darwin, Windows."""
    machine: str
    glibc: tuple[int, int] | None
    """None where the C library is another one, such as musl."""
    python: tuple[int, int]
    libpython: str | None
    """The shared library of the running Python: a path, or a bare name that the dynamic linker resolves."""
    numpy: str | None


def read_host() -> Host:
    """Describe the running host and Python."""
    library, version = platform.libc_ver()
    return Host(
        system=platform.system(),
        machine=platform.machine(),
        glibc=_major_minor(version) if library == "glibc" else None,
        python=sys.version_info[:2],
        libpython=_find_libpython(),
        numpy=_installed_version("numpy"),
    )


def check_host(host: Host) -> None:
    """Refuse a host on which the wheel's Triton would fail later and less clearly.

    Raises:
        UnsupportedHost: says what is wrong, what was found, and what works instead.
    """
    check_platform(host)
    if host.libpython is None:
        python = "{}.{}".format(*host.python)
        raise UnsupportedHost(
            f"libpython{python}.so.1.0, in which Triton runs the models, was not found: "
            f"`apt-get install libpython{python}` on Debian and Ubuntu; "
            "conda and uv bring it with their Python; pyenv does with PYTHON_CONFIGURE_OPTS=--enable-shared"
        )
    if host.numpy is None or int(host.numpy.split(".")[0]) > MAX_NUMPY_MAJOR:
        raise UnsupportedHost(
            f"the Python backend of this Triton returns empty tensors with numpy 2, and here numpy is {host.numpy}: "
            "`pip install 'numpy>=1.26,<2'`"
        )


def check_platform(host: Host) -> None:
    """Refuse a host for which the wheel, or what runs inside it, is not built: no package to install would help.

    Raises:
        UnsupportedHost: says what is wrong, what was found, and what works instead.
    """
    if host.system != "Linux":
        raise UnsupportedHost(f"Triton runs on Linux, this is {host.system}: {ELSEWHERE}")
    if host.machine != "x86_64":
        raise UnsupportedHost(f"the nvidia-pytriton wheel is for x86_64, this machine is {host.machine}: {ELSEWHERE}")
    if host.glibc is None or host.glibc < MIN_GLIBC:
        found = "another C library" if host.glibc is None else "glibc {}.{}".format(*host.glibc)
        needed = "glibc {}.{}".format(*MIN_GLIBC)
        raise UnsupportedHost(
            f"the nvidia-pytriton wheel needs {needed} or newer (Ubuntu 22.04, Debian 12), this host has {found}: "
            f"{ELSEWHERE}"
        )
    if host.python not in PYTHONS:
        found, supported = "{}.{}".format(*host.python), " or ".join("{}.{}".format(*minor) for minor in PYTHONS)
        raise UnsupportedHost(
            f"the local server needs Python {supported}, this is Python {found}: make an environment with one of "
            "those, such as `python3.12 -m venv .venv`; the client works with any"
        )


def has_nvidia_driver() -> bool:
    """Return whether this host has an NVIDIA driver, natively or through WSL."""
    return Path("/dev/nvidiactl").exists() or Path("/dev/dxg").exists()


def _find_libpython() -> str | None:
    minor = "{}.{}".format(*sys.version_info)
    beside_python = Path(sysconfig.get_config_var("LIBDIR") or "") / f"libpython{minor}.so.1.0"
    if beside_python.is_file():
        return str(beside_python)
    return ctypes.util.find_library(f"python{minor}")


def _major_minor(version: str) -> tuple[int, int]:
    major, minor = version.split(".")[:2]
    return int(major), int(minor)


def _installed_version(distribution: str) -> str | None:
    try:
        return importlib.metadata.version(distribution)
    except importlib.metadata.PackageNotFoundError:
        return None
