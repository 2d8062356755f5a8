"""One server with a pipeline for each task."""

import json

import numpy as np
import pytest
import torch
import transformers
from cascades import publish_cascade
from export.adapters.lora_files import write_adapter
from export.shared_bodies import make_heads
from export.small_checkpoints import make_checkpoint
from gateways import running_gateway
from sentence_transformers import SparseEncoder
from sentence_transformers.base.modules import Transformer
from sentence_transformers.sparse_encoder.modules import SpladePooling
from serving import PROMPTS, serve_config

from encserve import Client
from encserve_export.config import ExportConfig
from encserve_export.export import export, export_heads
from encserve_server.launcher.server import TritonServer

from .layouts import LAYOUTS
from .pipelines import ADAPTERS, BREADTH, CASCADE, CASCADE_TEXTS, HEADS, LABELS, PIPELINES


@pytest.fixture(scope="session")
def checkpoints(tmp_path_factory):
    """A checkpoint folder for each of `PIPELINES`, `LAYOUTS` and `HEADS`."""
    folder = tmp_path_factory.mktemp("checkpoints")
    made = {
        name: make_checkpoint(folder / name, seed=seed, **{k: v for k, v in made.items() if k != "export"})
        for seed, (name, made) in enumerate(PIPELINES.items())
    }
    prompts = made["embed-tokens-bert"] / "config_sentence_transformers.json"
    prompts.write_text(json.dumps({"prompts": PROMPTS}), encoding="utf-8")
    # A sparse encoder states its task in the files that sentence-transformers writes.
    network = Transformer(str(made["embed-sparse-bert"]), transformer_task="fill-mask")
    made["embed-sparse-bert"] = folder / "embed-sparse-bert-saved"
    SparseEncoder(modules=[network, SpladePooling("max")], device="cpu").save_pretrained(
        str(made["embed-sparse-bert"]), create_model_card=False
    )
    made |= {name: write(folder / name) for name, (write, _) in LAYOUTS.items()}
    heads = make_heads(folder / "heads", [*HEADS.values()])
    return made | {name: heads[head] for name, head in HEADS.items()}


@pytest.fixture(scope="session")
def adapters(checkpoints, tmp_path_factory):
    """Pipeline -> the folders of its adapters, by name."""
    folder, made = tmp_path_factory.mktemp("adapters"), {}
    for name, named in ADAPTERS.items():
        network = PIPELINES[name].get("network", transformers.AutoModel).from_pretrained(checkpoints[name])
        made[name] = {
            adapter: str(write_adapter(folder / adapter, network, heads=heads, seed=seed))
            for seed, (adapter, heads) in enumerate(named.items())
        }
    return made


@pytest.fixture(scope="package")
def repository(request, checkpoints, adapters, tmp_path_factory):
    """All pipelines; those of `BREADTH` where a test asks for them."""
    asked = " ".join(item.nodeid for item in request.session.items)
    repository = tmp_path_factory.mktemp("repository")
    labelled = tmp_path_factory.mktemp("labels") / "labels.jsonl"
    labels = tuple(LABELS["label2id"])
    lines = [{"text": f"{'word ' * (number % 7)}{number}", "label": labels[number % 3]} for number in range(150)]
    labelled.write_text("\n".join(map(json.dumps, lines)), encoding="utf-8")
    own = {"classify-calibrated": {"labels": labelled}}
    options = {name: made.get("export", {}) for name, made in PIPELINES.items()}
    for name, how in (options | {name: how for name, (_, how) in LAYOUTS.items()}).items():
        if name in BREADTH and name not in asked:
            continue
        config = {"checkpoint": str(checkpoints[name]), "name": name, "repository": repository}
        config["adapters"] = adapters.get(name, {})
        export(ExportConfig(**config, **how, **own.get(name, {})))
    shared, *others = HEADS
    heads = {HEADS[name]: str(checkpoints[name]) for name in others}
    export_heads(ExportConfig(checkpoint=str(checkpoints[shared]), name=shared, heads=heads, repository=repository))
    small, large = (first_scores(checkpoints[CASCADE[role]]) for role in ("small", "large"))
    publish_cascade(
        repository,
        "cascade-bert",
        threshold=(threshold := np.median(small)),  # between two of an even number
        review_threshold=np.median(large[small < threshold]),
        folder=tmp_path_factory.mktemp("texts"),
        **CASCADE,
    )
    return repository


def first_scores(checkpoint):
    """The first score of each of `CASCADE_TEXTS`, by the library."""
    torch.set_num_threads(1)
    classify = transformers.pipeline("text-classification", str(checkpoint), device="cpu")
    return np.array([each["score"] for each in classify(CASCADE_TEXTS, truncation=True)])


@pytest.fixture(scope="package")
def server(repository):
    with TritonServer(serve_config(repository, exit_timeout_s=5)) as server:
        yield server


@pytest.fixture(scope="package")
def client(server):
    with Client(server.grpc_url, timeout_s=300, texts_per_request=4) as client:
        yield client


@pytest.fixture
def reference(checkpoints):
    """The pipeline of transformers for one of ours."""

    def make(name, task, **options):
        torch.set_num_threads(1)
        return transformers.pipeline(task, str(checkpoints[name]), device="cpu", **options)

    return make


@pytest.fixture(scope="package")
def gateway(server):
    """A gateway before the server."""
    with running_gateway(server.grpc_url) as address:
        yield address
