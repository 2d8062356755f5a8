"""What is measured: the systems, and which of them with which workloads and modes."""

from __future__ import annotations

from dataclasses import dataclass

FIRST_TIER = (
    *("roofline, fp32 torch", "roofline, fp32 numpy", "roofline, fp32 onnxruntime"),
    *("encserve", "encserve, OpenVINO", "bound, packed", "bound, padded"),
    *("bound, packed, OpenVINO", "bound, padded, OpenVINO"),
    *("sentence-transformers, all at once", "sentence-transformers openvino, all at once", "Triton, padded"),
)
"""The systems that a run measures with every workload; the others it measures with the first."""


@dataclass(frozen=True)
class Process:
    """How the worker of one system or several is started."""

    module: str
    """In benchmarks/systems."""
    arguments: tuple[str, ...] = ()
    """{fp32}, {int8} and {fp32 for OpenVINO} stand for encserve's exports, {checkpoint} for the checkpoint."""
    environment: str = ""
    """Of benchmarks/environments; empty for this one, whose workers may still start servers in others."""


@dataclass(frozen=True)
class System:
    """One line of the results."""

    name: str
    process: str
    variant: str
    precision: str
    where: str
    """"server", or "in process"."""
    note: str
    """What it does, for readers of the page."""
    bounds: bool = False
    """Whether it has all texts in hand, in FP32 and without a server: the best of these is the in-process bound."""
    roofline: bool = False
    """Whether it does nothing but products of matrices: the best of these in a precision is its roofline."""


PROCESSES = {
    "roofline-fp32": Process("roofline", ("fp32",)),
    "roofline-int8": Process("roofline", ("int8",)),
    "roofline-bf16": Process("roofline", ("bf16",)),
    "encserve": Process("encserve_triton", ("{fp32}",)),
    "encserve-openvino": Process("encserve_triton", ("{fp32 for OpenVINO}",)),
    "encserve-int8": Process("encserve_triton", ("{int8}",)),
    "bound": Process("bound", ("{fp32}",)),
    "bound-openvino": Process("bound", ("{fp32 for OpenVINO}",)),
    "st-torch": Process("sentence_transformers_in_process", ("{checkpoint}", "torch")),
    "st-onnx": Process("sentence_transformers_in_process", ("{onnx}", "onnx"), "backends"),
    "st-openvino": Process("sentence_transformers_in_process", ("{openvino}", "openvino"), "backends"),
    "infinity-torch": Process("infinity", ("torch", "fp32")),
    "infinity-optimum": Process("infinity", ("optimum", "fp32")),
    "infinity-int8": Process("infinity", ("optimum", "int8")),
    "mlserver": Process("mlserver"),
    "fastapi": Process("plain_server", ("fastapi",)),
    "litserve": Process("plain_server", ("litserve",)),
    "padded": Process("padded_triton"),
}

_ST = "sentence-transformers in process"


def _roofline(precision: str, library: str, note: str) -> System:
    name = f"roofline, {precision} {library}"
    return System(name, f"roofline-{precision}", library, precision, "in process", note, roofline=True)


SYSTEMS = {
    system.name: system
    for system in (
        _roofline("fp32", "torch", "products of FP32 matrices by torch.mm"),
        _roofline("fp32", "numpy", "products of FP32 matrices by numpy's BLAS"),
        _roofline("fp32", "onnxruntime", "products of FP32 matrices by MatMul of ONNX Runtime"),
        _roofline("int8", "onnxruntime", "products of 8-bit matrices by MatMulInteger of ONNX Runtime"),
        _roofline("int8", "torch", "products of 8-bit matrices by torch._int_mm, which is oneDNN"),
        _roofline("bf16", "torch", "products of bfloat16 matrices by torch.mm, which is oneDNN"),
        System("encserve", "encserve", "async", "fp32", "server", "AsyncClient, which lets calls share requests"),
        System(
            "encserve, OpenVINO", "encserve-openvino", "async", "fp32", "server", "AsyncClient; OpenVINO as runtime"
        ),
        System(
            "encserve, each alone",
            "encserve",
            "async, each alone",
            "fp32",
            "server",
            "AsyncClient(coalesce=False)",
        ),
        System("encserve, Client", "encserve", "sync", "fp32", "server", "Client, shared by threads"),
        System("encserve, perf_analyzer", "encserve", "perf_analyzer", "fp32", "server", "Triton's own load generator"),
        System("encserve int8", "encserve-int8", "async", "int8", "server", "AsyncClient"),
        *(
            System(
                f"bound, {way}{runtime}",
                process,
                way,
                "fp32",
                "in process",
                f"{words}{runtime}; no server",
                bounds=True,
            )
            for process, runtime in (("bound", ""), ("bound-openvino", ", OpenVINO"))
            for way, words in (
                ("one text a call", "a text at a time on a thread for each core"),
                ("padded", "sorted by length, padded micro-batches"),
                ("packed", "sorted by length, packed micro-batches"),
            )
        ),
        System("sentence-transformers", "st-torch", "each request", "fp32", "in process", f"{_ST}, request by request"),
        System(
            "sentence-transformers, all at once",
            "st-torch",
            "all at once",
            "fp32",
            "in process",
            f"{_ST}, the whole list, sorted",
            bounds=True,
        ),
        System("sentence-transformers onnx", "st-onnx", "each request", "fp32", "in process", f"{_ST}, ONNX backend"),
        System(
            "sentence-transformers onnx, all at once",
            "st-onnx",
            "all at once",
            "fp32",
            "in process",
            f"{_ST}, ONNX backend, sorted",
            bounds=True,
        ),
        System(
            "sentence-transformers openvino",
            "st-openvino",
            "each request",
            "fp32",
            "in process",
            f"{_ST}, OpenVINO backend",
        ),
        System(
            "sentence-transformers openvino, all at once",
            "st-openvino",
            "all at once",
            "fp32",
            "in process",
            f"{_ST}, OpenVINO backend, sorted",
            bounds=True,
        ),
        System("infinity torch", "infinity-torch", "", "fp32", "server", "infinity-emb, torch engine"),
        System("infinity optimum", "infinity-optimum", "", "fp32", "server", "infinity-emb, optimum engine"),
        System("infinity optimum int8", "infinity-int8", "", "int8", "server", "infinity-emb, optimum engine"),
        System("MLServer", "mlserver", "", "fp32", "server", "Hugging Face runtime; answers with all tokens' vectors"),
        System("FastAPI", "fastapi", "", "fp32", "server", "sentence-transformers, batches of 32 or 5 ms"),
        System("LitServe", "litserve", "", "fp32", "server", "sentence-transformers, batches of 32 or 5 ms"),
        System("Triton, padded", "padded", "", "fp32", "server", "as tutorials write it, tritonclient"),
        System("Triton, padded, perf_analyzer", "padded", "perf_analyzer", "fp32", "server", "as tutorials write it"),
    )
}


@dataclass(frozen=True)
class Cell:
    """One measurement of a round."""

    system: str
    workload: str
    mode: str


def cells(systems: list[str], workloads: list[str], modes: list[str]) -> list[Cell]:
    """In turn: all systems with one workload and mode, then with the next.

    The first workload is measured in all modes with all systems, the others with the largest mode of requests, by
    `FIRST_TIER`.
    """
    first, *others = workloads
    plan = [Cell(system, first, mode) for mode in modes for system in systems]
    few = "4x32" if "4x32" in modes else modes[-1]
    few_systems = [system for system in systems if system in FIRST_TIER] or systems
    return plan + [Cell(system, workload, few) for workload in others for system in few_systems]
