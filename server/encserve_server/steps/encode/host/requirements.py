"""What a version of a pipeline asks of the host that serves it, and what of that a host lacks.

One mechanism for all of them: the exporter writes the requirements into the manifest and into the settings of the
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
    """What a host offers, as far as it is known. A field that is None is not known, and nothing is found lacking
    there."""

    cpu_flags: frozenset[str] | None = None
    """The flags of the processor, by the names that Linux gives them."""
    backends: frozenset[str] | None = None
    """The names of the backends of the installed Triton."""
    modules: frozenset[str] | None = None
    """The Python modules that can be imported where the steps run."""
    has_gpu: bool | None = None
    gpu_architecture: str | None = None
    """The architecture of the first GPU, such as "sm_90"."""
    tensorrt_version: str | None = None
    """The version of TensorRT in Triton's backend, such as "10.13.3"."""


@dataclass(frozen=True, kw_only=True)
class HostRequirements:
    """What one encode step requires of its host. A field with an empty value requires nothing."""

    backend: str
    """The name of the Triton backend that runs the step."""
    module: str = ""
    """The Python module that runs the graph, beside those that every installation has."""
    cpu_any_of: tuple[str, ...] = ()
    """Processor flags, of which one is required: a processor without any of them computes other numbers than were
    certified."""
    fast_with: tuple[str, ...] = ()
    """Processor flags, of which one makes the step fast: without any of them the numbers are the certified ones, and
    come slowly."""
    x64quantprecision: bool = False
    """Whether the step makes ONNX Runtime multiply 8-bit integers exactly on x64 processors without VNNI, whose
    ordinary kernels saturate; the certificate was taken so."""
    gpu: bool = False
    """Whether an NVIDIA GPU is required."""
    gpu_architecture: str = ""
    """The only GPU architecture on which the plan runs."""
    tensorrt_version: str = ""
    """The only version of TensorRT with which the plan runs."""

    @classmethod
    def of(cls, stated: Mapping[str, Any]) -> HostRequirements:
        """Return the requirements in `stated`, the `requirements` of a manifest or of the settings of a step.

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
        """Return what `host` lacks, each as a sentence that says what helps; empty if the host can serve the
        version."""
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
        """Return, as a sentence, why the version is slow on a processor; empty if it is not."""
        flags = lacks(cpu_flags, self.fast_with)
        return f"this processor has no {flags}" if flags else ""

    def in_words(self) -> tuple[str, ...]:
        """Return the requirements as `encserve models` shows them."""
        words = [
            self.module,
            " or ".join(self.cpu_any_of),
            "GPU" if self.gpu and not self.gpu_architecture else "",
            f"GPU {self.gpu_architecture}" if self.gpu_architecture else "",
            f"TensorRT {self.tensorrt_version}" if self.tensorrt_version else "",
        ]
        return tuple(word for word in words if word)


def this_process(requirements: HostRequirements) -> Host:
    """Return the host as a step with `requirements` sees it from within: its processor, and which of the required
    modules it can import."""
    module = requirements.module
    return Host(cpu_flags=read_cpu_flags(), modules=frozenset({module} if module and find_spec(module) else ()))


def check_host(requirements: HostRequirements, host: Host) -> None:
    """Refuse to load a step on a host that lacks something. Raises RuntimeError, which says what is lacking."""
    if complaints := requirements.lacking(host):
        raise RuntimeError(f"this host cannot serve the encode step: {'; '.join(complaints)}")


def _matches(built: str, here: str) -> bool:
    """Return whether two versions are equal as far as both are given: 10.13.3.9 matches 10.13.3."""
    return all(a == b for a, b in zip(built.split("."), here.split("."), strict=False))
