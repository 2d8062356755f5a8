"""The published pipelines of one checkpoint: what their manifests say, how large they are, and how fast here."""

from __future__ import annotations

import json
import statistics
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from encserve_server.models.micro_batches import Cost

from .config import encode_model
from .errors import ExportError
from .manifest import FILE_NAME as MANIFEST_FILE
from .reference_file import FILE_NAME as REFERENCE_FILE
from .reference_file import read_reference

_ROUNDS = 3
_OF_THE_CHECKPOINT = ("checkpoint", "task", "tokenizer_sha256")
"""What pipelines of one checkpoint have in common."""


@dataclass(frozen=True, kw_only=True)
class Published:
    """One version of a pipeline."""

    manifest: dict[str, Any]
    encode_folder: Path
    reference: Path

    @property
    def title(self) -> str:
        """Its name and version, its precision and what runs it."""
        stated = self.manifest
        runtime = (stated.get("runtime") or {}).get("name", "")
        on = f"{stated['engine']} with {runtime}" if runtime else stated["engine"]
        return f"{stated['name']} {stated['version']}: {stated['precision']}, {on}"

    @property
    def bytes(self) -> int:
        """Size of the network on disk."""
        suffixes = (".onnx", ".data", ".plan", ".xml", ".bin")
        return sum(file.stat().st_size for file in self.encode_folder.iterdir() if file.suffix in suffixes)


def published_of(repository: Path, name: str) -> list[Published]:
    """All versions of `name`, and the newest of every other pipeline of its checkpoint; the newest of `name` first.

    Raises:
        ExportError: the repository has no such pipeline.
    """
    own = _versions(repository, name)
    if not own:
        raise ExportError(
            f"{repository} has no pipeline {name!r}: `encserve export CHECKPOINT --name {name}` makes one"
        )
    newest = own[-1]
    others = []
    for other in sorted({file.parent.parent.name for file in repository.glob(f"[!.]*/*/{MANIFEST_FILE}")} - {name}):
        candidate = _versions(repository, other)[-1]
        if all(candidate.manifest.get(key) == newest.manifest.get(key) for key in _OF_THE_CHECKPOINT):
            others.append(candidate)
    return [*reversed(own), *others]


def _versions(repository: Path, name: str) -> list[Published]:
    files = sorted((repository / name).glob(f"[0-9]*/{MANIFEST_FILE}"), key=lambda file: int(file.parent.name))
    found = []
    for file in files:
        manifest = json.loads(file.read_text(encoding="utf-8"))
        body = manifest.get("body") or name
        encode = repository / encode_model(body, manifest["engine"]) / file.parent.name
        found.append(Published(manifest=manifest, encode_folder=encode, reference=file.parent / REFERENCE_FILE))
    return found


def measure_speed(siblings: Sequence[Published], rounds: int = _ROUNDS) -> dict[str, float]:
    """Tokens a second of each that runs on a CPU, by title: side by side in this process, on the certificate's texts.

    Graphs in fp16, or in int8 and fp16, those for a GPU alone, and plans are left out.
    """
    from encserve_server.models.packed_session import PackedSession

    sessions = {}
    for each in siblings:
        graph = each.encode_folder / "model.onnx"
        for_gpus = each.manifest["engine"] != "python" and (
            each.manifest["precision"] != "fp32" or each.manifest.get("device") == "gpu"
        )
        if for_gpus or not graph.is_file() or "mask_at" in each.manifest["graph_inputs"]:
            continue
        question = read_reference(each.reference).question
        sessions[each.title] = PackedSession(graph, **_session_settings(each, question.output, question.follows))
    if not sessions:
        return {}
    reference = read_reference(siblings[0].reference)
    columns = {"input_ids": reference.input_ids}
    if reference.token_type_ids is not None:
        columns["token_type_ids"] = reference.token_type_ids
    tokens = sum(map(len, reference.input_ids))
    output = [reference.question.output]
    seconds: dict[str, list[float]] = {title: [] for title in sessions}
    try:
        for number in range(rounds + 1):
            for title, session in sessions.items():
                begin = time.perf_counter()
                session.run(columns, output)
                if number:  # the first round warms up
                    seconds[title].append(time.perf_counter() - begin)
    finally:
        for session in sessions.values():
            session.close()
    return {title: tokens / statistics.median(each) for title, each in seconds.items()}


def _session_settings(each: Published, output: str, follows: str) -> dict[str, Any]:
    """How the encode step loads its graph."""
    file = each.encode_folder / "settings.json"
    stated = json.loads(file.read_text(encoding="utf-8")) if file.is_file() else {}
    settings = {name: stated[name] for name in ("runtime", "hints") if name in stated}
    if "micro_batch_cost" in stated:
        settings["cost"] = Cost(**stated["micro_batch_cost"])
    return {"follows": {output: follows}, "token_budget": stated.get("token_budget", 512), **settings}


def graph_megabytes(each: Published) -> float:
    """Size of the network in MB."""
    return float(np.round(each.bytes / 1e6, 1))
