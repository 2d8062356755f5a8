"""A manifest of no checkpoint, for tests of what is written around one."""

from dataclasses import asdict

from encserve_export.config import Device, Engine, Precision
from encserve_repository.manifest import Manifest
from encserve_server.steps.encode.host.requirements import HostRequirements


def make_manifest(*, version=1, engine=Engine.PYTHON, dimensions=384, files=None):
    return Manifest(
        name="minilm",
        version=version,
        task="feature-extraction",
        precision=Precision.FP32.value,
        engine=engine.value,
        runtime={"name": "onnxruntime", "hints": {}} if engine is Engine.PYTHON else {},
        device=Device.CPU.value if engine is Engine.ONNXRUNTIME else None,
        requirements=asdict(HostRequirements(backend=engine.value)),
        made={},
        calibration={},
        checkpoint={
            "source": "all-MiniLM-L6-v2",
            "revision": None,
            "licence": "apache-2.0",
            "architecture": "BertModel",
        },
        opset=20,
        dimensions=dimensions,
        pooling="mean",
        pairs=False,
        labels=[],
        mask_token="",
        graph_inputs=("input_ids", "lengths"),
        limits={
            "max_length": 256,
            "max_texts_per_request": 256,
            "max_tokens_per_request": 65536,
            "max_bytes_per_text": 262144,
        },
        token_budget=512 if engine is Engine.PYTHON else None,
        prompts={"query": "query: "},
        option_defaults={"truncate": "end", "prompt_name": None, "dimensions": None, "normalize": True},
        tokenizer_sha256="0" * 64,
        parity={},
        files=files or {},
        tools={},
    )
