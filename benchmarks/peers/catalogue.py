"""The systems that are measured, and the processes that they run in."""

from __future__ import annotations

from benchmarks.peers.plan import IN_HAND, LOADED, Process, System

PROCESSES = {
    "roofline-fp32": Process("roofline", ("fp32",)),
    "roofline-int8": Process("roofline", ("int8",)),
    "roofline-bf16": Process("roofline", ("bf16",)),
    "encserve": Process("encserve_triton", ("{encserve}",)),
    "encserve-openvino": Process("encserve_triton", ("{encserve --runtime openvino}",)),
    "encserve-auto": Process("encserve_triton", ("{encserve --runtime auto}",)),
    "encserve-int8": Process("encserve_triton", ("{encserve --precision int8}",)),
    "encserve-bf16": Process("encserve_triton", ("{encserve --precision bf16}",)),
    "bound": Process("bound", ("{encserve}",)),
    "bound-openvino": Process("bound", ("{encserve --runtime openvino}",)),
    "st-torch": Process("in_process.sentence_transformers", ("{checkpoint}", "torch")),
    **{
        f"st-{name}": Process(
            "in_process.sentence_transformers", (f"{{sentence-transformers {folder}}}", *more), "backends"
        )
        for name, folder, *more in (
            ("onnx", "onnx", "onnx", "onnx/model_O3.onnx"),
            ("onnx-int8", "onnx", "onnx", "onnx/model_qint8_avx512_vnni.onnx"),
            ("openvino", "openvino", "openvino", "openvino/openvino_model.xml", "f32"),
            ("openvino-bf16", "openvino", "openvino", "openvino/openvino_model.xml", "bf16"),
            ("openvino-int8", "openvino-int8", "openvino", "openvino/openvino_model_qint8_quantized.xml", "f32"),
        )
    },
    "ctranslate2": Process("in_process.ctranslate2_encoder", ("{ctranslate2}", "float32"), "ctranslate2"),
    "ctranslate2-int8": Process("in_process.ctranslate2_encoder", ("{ctranslate2}", "int8"), "ctranslate2"),
    "genai": Process("in_process.openvino_genai_pipeline", ("{openvino-genai fp32}",), "backends"),
    "genai-int8": Process("in_process.openvino_genai_pipeline", ("{openvino-genai int8}",), "backends"),
    "fastembed": Process("in_process.fastembed_embedding", ("{sentence-transformers onnx}",), "fastembed"),
    "embed-anything": Process("in_process.embed_anything_model", ("{hub}", "local/model"), "embed_anything"),
    "embed-anything-onnx": Process(
        "in_process.embed_anything_model", ("{hub}", "local/model", "onnx/model_O3.onnx"), "embed_anything"
    ),
    "vllm": Process("in_process.vllm_pooling", ("{checkpoint}",), "vllm"),
    "infinity-torch": Process("servers.infinity", ("torch",)),
    "infinity-optimum": Process("servers.infinity", ("optimum", "model_O3.onnx")),
    "infinity-int8": Process("servers.infinity", ("optimum", "model_qint8_avx512_vnni.onnx")),
    "mlserver": Process("servers.mlserver"),
    "fastapi": Process("servers.plain_server", ("fastapi",)),
    "litserve": Process("servers.plain_server", ("litserve",)),
    "padded": Process("servers.padded_triton", ("any length",)),
    "padded-buckets": Process("servers.padded_triton", ("buckets",)),
    "triton-ctranslate2": Process("servers.padded_triton", ("ctranslate2 float32",)),
    "triton-ctranslate2-int8": Process("servers.padded_triton", ("ctranslate2 int8",)),
}
IN_PROCESS = ("1x1", "4x32", IN_HAND)
"""Request by request, one after the other as an application makes them; and all at once."""
_ALONE_AND_ALL = ("1x1", IN_HAND)


def _roofline(precision: str, library: str, note: str) -> System:
    name = f"roofline, {precision} {library}"
    process = f"roofline-{precision}"
    return System(name, process, library, precision, "in process", note, modes=(IN_HAND,), roofline=True)


def _encserve(
    rest: str,
    process: str,
    note: str,
    *,
    precision: str = "fp32",
    variant: str = "async",
    modes: tuple[str, ...] = LOADED,
    everywhere: str = "",
) -> System:
    return System(f"encserve{rest}", process, variant, precision, "server", note, modes=modes, everywhere=everywhere)


def _bound(way: str, words: str, modes: tuple[str, ...] = _ALONE_AND_ALL) -> list[System]:
    return [
        System(
            f"bound, {way}{runtime}",
            process,
            way,
            "fp32",
            "in process",
            f"{words}{runtime}; no server",
            modes=modes,
            everywhere=IN_HAND if (way, runtime) != ("padded", "") and "1x1" in modes else "",
        )
        for process, runtime in (("bound", ""), ("bound-openvino", ", OpenVINO"))
    ]


def _library(
    name: str,
    process: str,
    precision: str,
    note: str,
    *,
    peer: str,
    modes: tuple[str, ...] = (IN_HAND,),
    everywhere: str = "",
) -> System:
    return System(name, process, "", precision, "in process", note, peer=peer, modes=modes, everywhere=everywhere)


def _server(
    name: str,
    process: str,
    precision: str,
    note: str,
    *,
    peer: str,
    variant: str = "",
    modes: tuple[str, ...] = LOADED,
) -> System:
    return System(name, process, variant, precision, "server", note, peer=peer, modes=modes)


_ST, _CT2, _GENAI = "sentence-transformers", "CTranslate2", "OpenVINO GenAI"

SYSTEMS = {
    system.name: system
    for system in (
        _roofline("fp32", "torch", "products of FP32 matrices by torch.mm"),
        _roofline("fp32", "numpy", "products of FP32 matrices by numpy's BLAS"),
        _roofline("fp32", "onnxruntime", "products of FP32 matrices by MatMul of ONNX Runtime"),
        _roofline("int8", "onnxruntime", "products of 8-bit matrices by MatMulInteger of ONNX Runtime"),
        _roofline("int8", "torch", "products of 8-bit matrices by torch._int_mm, which is oneDNN"),
        _roofline("bf16", "torch", "products of bfloat16 matrices by torch.mm, which is oneDNN"),
        _encserve(
            "",
            "encserve",
            "AsyncClient, which lets calls share requests",
            modes=("1x1", *LOADED, IN_HAND),
            everywhere="4x32",
        ),
        _encserve(
            ", OpenVINO",
            "encserve-openvino",
            "AsyncClient; OpenVINO as runtime",
            modes=("1x1", *LOADED),
            everywhere="4x32",
        ),
        _encserve(", auto", "encserve-auto", "AsyncClient; the runtime that the export found the fastest"),
        _encserve(
            ", each alone", "encserve", "AsyncClient(coalesce=False)", variant="async, each alone", modes=("32x1",)
        ),
        _encserve(", Client", "encserve", "Client, shared by threads", variant="sync", modes=("1x1", "32x1")),
        _encserve(
            ", perf_analyzer", "encserve", "Triton's own load generator", variant="perf_analyzer", modes=("32x1",)
        ),
        _encserve(
            " int8",
            "encserve-int8",
            "AsyncClient",
            precision="int8",
            modes=("1x1", *LOADED),
            everywhere="4x32",
        ),
        _encserve(" bf16", "encserve-bf16", "AsyncClient; OpenVINO as runtime", precision="bf16"),
        *_bound("one text a call", "a text at a time on a thread for each core", (IN_HAND,)),
        *_bound("padded", "sorted by length, padded micro-batches"),
        *_bound("packed", "sorted by length, packed micro-batches"),
        _library("sentence-transformers", "st-torch", "fp32", "torch", peer=_ST, modes=IN_PROCESS),
        _library("sentence-transformers onnx", "st-onnx", "fp32", "ONNX backend", peer=_ST, modes=IN_PROCESS),
        _library(
            "sentence-transformers onnx int8",
            "st-onnx-int8",
            "int8",
            "ONNX backend, its export_dynamic_quantized_onnx_model for AVX-512 with VNNI",
            peer=_ST,
            modes=("4x32", IN_HAND),
        ),
        _library(
            "sentence-transformers openvino",
            "st-openvino",
            "fp32",
            "OpenVINO backend, held to FP32",
            peer=_ST,
            modes=IN_PROCESS,
            everywhere=IN_HAND,
        ),
        _library(
            "sentence-transformers openvino int8",
            "st-openvino-int8",
            "int8",
            "OpenVINO backend, its export_static_quantized_openvino_model, calibrated on the corpus",
            peer=_ST,
            modes=("4x32", IN_HAND),
        ),
        _library(
            "sentence-transformers openvino bf16",
            "st-openvino-bf16",
            "bf16",
            "OpenVINO backend, held to bfloat16",
            peer=_ST,
            modes=("4x32", IN_HAND),
        ),
        *(
            _library(
                f"CTranslate2{suffix}",
                f"ctranslate2{process}",
                precision,
                f"Encoder in {kind}, sorted by length, batches of so many tokens",
                peer=_CT2,
                modes=_ALONE_AND_ALL,
                everywhere=IN_HAND,
            )
            for suffix, process, precision, kind in (("", "", "fp32", "float32"), (" int8", "-int8", "int8", "int8"))
        ),
        _library("openvino-genai", "genai", "fp32", "TextEmbeddingPipeline, sorted", peer=_GENAI),
        _library(
            "openvino-genai int8",
            "genai-int8",
            "int8",
            "TextEmbeddingPipeline, sorted; nncf.compress_weights",
            peer=_GENAI,
        ),
        _library("fastembed", "fastembed", "fp32", "TextEmbedding, sorted", peer="fastembed"),
        _library("embed_anything", "embed-anything", "fp32", "candle, sorted", peer="embed_anything"),
        _library("embed_anything onnx", "embed-anything-onnx", "fp32", "ONNX Runtime, sorted", peer="embed_anything"),
        _library("vLLM", "vllm", "fp32", "LLM.embed, runner pooling", peer="vLLM"),
        _server("infinity torch", "infinity-torch", "fp32", "torch engine, BetterTransformer", peer="infinity"),
        _server("infinity optimum", "infinity-optimum", "fp32", "optimum engine, graph O3", peer="infinity"),
        _server(
            "infinity optimum int8", "infinity-int8", "int8", "optimum engine, optimum's dynamic int8", peer="infinity"
        ),
        _server("MLServer", "mlserver", "fp32", "Hugging Face runtime; vectors of all tokens", peer="MLServer"),
        _server("FastAPI", "fastapi", "fp32", "sentence-transformers, batches of 32 or 5 ms", peer="FastAPI"),
        _server("LitServe", "litserve", "fp32", "sentence-transformers, batches of 32 or 5 ms", peer="LitServe"),
        _server("Triton, padded", "padded", "fp32", "as tutorials write it, tritonclient", peer="Triton, padded"),
        _server(
            "Triton, padded, perf_analyzer",
            "padded",
            "fp32",
            "as tutorials write it",
            peer="Triton, padded",
            variant="perf_analyzer",
            modes=("32x1",),
        ),
        _server(
            "Triton, padded to buckets",
            "padded-buckets",
            "fp32",
            "each text padded to one of several lengths, by which the batcher collects",
            peer="Triton, padded",
        ),
        _server(
            "Triton, CTranslate2",
            "triton-ctranslate2",
            "fp32",
            "CTranslate2 in Triton's Python backend, as many instances of a thread as cores",
            peer="Triton with CTranslate2",
        ),
        _server(
            "Triton, CTranslate2 int8",
            "triton-ctranslate2-int8",
            "int8",
            "CTranslate2 in Triton's Python backend, as many instances of a thread as cores",
            peer="Triton with CTranslate2",
        ),
    )
}
