"""What a version of a pipeline asks of the host that serves it, and what of that a host lacks.

One mechanism for all who ask: the exporter writes the requirements into the manifest and into the settings of the
encode step, `encserve serve` holds them against the host before Triton starts, and the step itself does so when it
loads. Only what changes the numbers, or whether there are any, is required; what makes them slow is said.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from importlib.util import find_spec
from typing import Any

from .cpu_flags import lacks, read_cpu_flags


@dataclass(frozen=True, kw_only=True)
class Host:
    """What a host offers, as far as it is known; nothing is lacking for what is None."""

    cpu_flags: frozenset[str] | None = None
    """Of the processor, by the names that Linux gives them."""
    backends: frozenset[str] | None = None
    """Of the installed Triton, by name."""
    modules: frozenset[str] | None = None
    """Python modules that can be imported where the steps run."""
    has_gpu: bool | None = None
    gpu_architecture: str | None = None
    """Of the first GPU, such as "sm_90"."""
    tensorrt_version: str | None = None
    """Of Triton's TensorRT backend, such as "10.13.3"."""


@dataclass(frozen=True, kw_only=True)
class HostRequirements:
    """Of one encode step. Empty values ask for nothing."""

    backend: str
    """Of Triton."""
    module: str = ""
    """A Python module that runs the graph, beside those that every installation has."""
    cpu_any_of: tuple[str, ...] = ()
    """Processor flags. Without one of them the processor computes other numbers than were certified."""
    fast_with: tuple[str, ...] = ()
    """Processor flags. Without one of them the numbers are those that were certified, and come slowly."""
    x64quantprecision: bool = False
    """Whether the step makes ONNX Runtime multiply 8-bit integers exactly on x64 processors without VNNI, whose
    ordinary kernels saturate; the certificate was taken so."""
    gpu: bool = False
    """An NVIDIA GPU."""
    gpu_architecture: str = ""
    """The only one on which a plan runs."""
    tensorrt_version: str = ""
    """The only one with which a plan runs."""

    @classmethod
    def of(cls, stated: Mapping[str, Any]) -> HostRequirements:
        """The `requirements` in a manifest, or in the settings of a step.

        Raises:
            ValueError: there are none, or they are not of this release.
        """
        requirements: Any = stated.get("requirements")
        if not isinstance(requirements, dict) or set(requirements) != {each.name for each in fields(cls)}:
            raise ValueError(
                "it does not say what it asks of a host as this release does: it was exported with another release of "
                "encserve; export it again"
            )
        values: dict[str, Any] = {
            name: tuple(value) if isinstance(value, list) else value for name, value in requirements.items()
        }
        return cls(**values)

    def lacking(self, host: Host) -> list[str]:
        """What `host` has not, each in a sentence that says what helps; empty if it can serve the version."""
        complaints = []
        if host.backends is not None and self.backend not in host.backends:
            complaints.append(
                f"it needs Triton's backend {self.backend!r}, and this Triton has {', '.join(sorted(host.backends))}: "
                "serve it out of NVIDIA's image (docker compose up), or export it with --engine python"
            )
        if host.modules is not None and self.module and self.module not in host.modules:
            complaints.append(
                f"it was certified with {self.module}, which is not installed here: pip install {self.module}, or "
                "export it with another --runtime"
            )
        if host.cpu_flags is not None and (flags := lacks(host.cpu_flags, self.cpu_any_of)):
            complaints.append(
                f"this processor has no {flags}, and would compute other numbers than those that were certified: "
                "export it with --precision int8 or fp32, or serve it on a processor like the one that exported it"
            )
        if host.has_gpu is False and self.gpu:
            complaints.append(
                "it was exported for a GPU, and this host has no NVIDIA driver: serve it on a host with a GPU, or "
                "export it with --engine python"
            )
        for what, built, here in (
            ("TensorRT", self.tensorrt_version, host.tensorrt_version),
            ("GPU architecture", self.gpu_architecture, host.gpu_architecture),
        ):
            if built and here is not None and not _matches(built, here):
                complaints.append(
                    f"its plan was built for {what} {built}, and here it is {here}; a plan runs nowhere else: export "
                    "it again with --engine tensorrt in the image and on the GPU that serve it"
                )
        return complaints

    def slow_on(self, cpu_flags: frozenset[str]) -> str:
        """Why the version is slow on a processor, in words; empty if it is not."""
        flags = lacks(cpu_flags, self.fast_with)
        return f"this processor has no {flags}" if flags else ""

    def in_words(self) -> tuple[str, ...]:
        """What `encserve models` shows."""
        words = [
            self.module,
            " or ".join(self.cpu_any_of),
            "GPU" if self.gpu and not self.gpu_architecture else "",
            f"GPU {self.gpu_architecture}" if self.gpu_architecture else "",
            f"TensorRT {self.tensorrt_version}" if self.tensorrt_version else "",
        ]
        return tuple(word for word in words if word)


def this_process(requirements: HostRequirements) -> Host:
    """The host as a step with `requirements` sees it from within: its processor, and what of them it can import."""
    module = requirements.module
    return Host(cpu_flags=read_cpu_flags(), modules=frozenset({module} if module and find_spec(module) else ()))


def check_host(requirements: HostRequirements, host: Host) -> None:
    """Refuse to load where something is lacking. Raises RuntimeError, in words."""
    if complaints := requirements.lacking(host):
        raise RuntimeError(f"this host cannot serve the encode step: {'; '.join(complaints)}")


def _matches(built: str, here: str) -> bool:
    """Equal, as far as both are given: 10.13.3.9 matches 10.13.3."""
    return all(a == b for a, b in zip(built.split("."), here.split("."), strict=False))
