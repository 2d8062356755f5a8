"""Sparse encoders whose queries a table answers: their vectors are those of sentence-transformers, certified, and what
cannot be served is refused by name."""

import json
from dataclasses import replace

import numpy as np
import pytest
import transformers
from safetensors.torch import load_file, save_file
from sentence_transformers import SparseEncoder
from tokenizers import Tokenizer

from encserve_export.certificate.subject.asked import library_of
from encserve_export.certificate.verification.reference_file import FILE_NAME, read_reference
from encserve_export.config import ExportConfig
from encserve_export.engines.table import check_queries
from encserve_export.errors import CertificateFailed, CheckpointError, Unsupported, WayFailed
from encserve_server.steps.instance.settings import read_settings
from encserve_server.steps.request.options import OptionRules
from encserve_server.steps.tokenize.tokenization import Tokenization
from export.certificate.staged import stage
from export.checkpoints.in_process import answers, load
from export.small_checkpoints import make_checkpoint

from .routers import change, routed

TEXTS = ["The Library of the Town opens at Nine, and the town knows.", "rain rain", "", "trees " * 100]
PROMPTS = {"query": "find: ", "document": "a text: "}


def rows_of(answer, width):
    """The terms of each text as a whole vector, and whether they come heaviest first."""
    ends = np.cumsum(answer["term_count"])[:-1]
    rows = np.zeros((len(ends) + 1, width), np.float32)
    parts = zip(np.split(answer["token_id"], ends), np.split(answer["weight"], ends), strict=True)
    for row, (ids, weights) in zip(rows, parts, strict=True):
        assert len(set(ids.tolist())) == len(ids)
        assert (weights != 0).all()
        assert (np.diff(weights) <= 0).all()
        row[ids] = weights
    return rows


@pytest.mark.parametrize(
    "made",
    [
        {},
        {"family": "bert", "activation": "relu", "prompts": PROMPTS},
        {"query_length": 5, "prompts": {"passage": "a text: "}},
    ],
)
def test_queries_and_documents_are_those_of_sentence_transformers(made, tmp_path):
    folder = routed(tmp_path / "checkpoint", **made)
    theirs = SparseEncoder(str(folder), device="cpu")
    for kind, encode in (("query", theirs.encode_query), ("document", theirs.encode_document)):
        expected = encode(TEXTS, convert_to_sparse_tensor=False).numpy()
        ours = answers(folder, tmp_path / kind, {"input_type": kind}, text=TEXTS)
        np.testing.assert_allclose(rows_of(ours, expected.shape[1]), expected, rtol=0, atol=1e-5)
        assert len(ours["lengths"]) == (0 if kind == "query" else len(TEXTS)), "the network sees no query"
    assert (np.diff(expected[0]) != 0).any()


def test_a_query_has_its_own_length_and_is_never_cut_where_its_tokenizer_states_none(tmp_path):
    for length, longest in ((5, 5), (10**20, None)):
        folder = routed(tmp_path / str(length), query_length=length)
        ours = answers(folder, tmp_path / f"steps {length}", {"input_type": "query"}, text=TEXTS)
        sizes = [len(ids) for ids in load(folder).tokenizer(TEXTS, add_special_tokens=False)["input_ids"]]
        assert sizes[3] > 64, "longer than documents may be"
        assert ours["token_count"].tolist() == [min(size, longest or size) for size in sizes]
        assert (ours["token_count"] + ours["dropped_count"]).tolist() == sizes


def test_texts_are_what_the_router_says_where_the_request_does_not(tmp_path):
    folder = routed(tmp_path / "checkpoint", route="query")
    asked = answers(folder, tmp_path / "steps", text=["rain"])
    assert len(asked["lengths"]) == 0
    assert load(folder).modules.table.queries_by_default


def test_what_is_read_rightly_is_certified(tmp_path):
    folder = routed(tmp_path / "checkpoint", prompts=PROMPTS)
    parity = stage(tmp_path / "staged", folder).certify()
    assert parity["library"].startswith("SparseEncoder of sentence-transformers")
    assert parity["figures"]["max_abs_diff"]["measured"] < 1e-5
    assert parity["variants"] == 48, "eight texts of either kind with each prompt, and without"


def test_what_is_kept_for_later_is_what_a_server_says(tmp_path):
    """`encserve verify` holds the counts of tokens against those that it kept, of queries too."""
    folder = routed(tmp_path / "checkpoint")
    staged = stage(tmp_path / "staged", folder)
    (tmp_path / "kept").mkdir()
    staged.certify(kept=tmp_path / "kept")
    settings = read_settings(staged.folders["tokenize"])
    tokenization = Tokenization(Tokenizer.from_file(str(staged.folders["tokenize"] / "tokenizer.json")), settings)
    rules, kinds = OptionRules.from_settings(settings), set()
    corpus = read_reference(tmp_path / "kept" / FILE_NAME).sections["corpus"]
    for kept in corpus.kept:
        options = rules.check(kept.asked.options)
        raw = {"text": [text.encode() for text in kept.asked.inputs["text"]]}
        (tensors,) = tokenization.tokenize([(tokenization.read(raw, options), options)])
        expected = corpus.token_counts[kept.first : kept.first + kept.asked.count]
        assert tensors["token_count"].tolist() == expected
        kinds.add((options["input_type"], max(expected) > 0))
    assert kinds == {("query", True), ("document", True)}


@pytest.mark.parametrize(
    "wrong",
    [
        {"splade": "relu"},
        {"table": lambda table: replace(table, weights=tuple(each * 1.1 for each in table.weights))},
        {"table": lambda table: replace(table, max_length=6)},
        {"side_prompts": {"query": "document", "document": "document"}},
    ],
)
def test_what_is_read_wrongly_is_not(wrong, tmp_path):
    def read(checkpoint):
        (name, value), modules = *wrong.items(), checkpoint.modules
        value = value(modules.table) if callable(value) else value
        return replace(checkpoint, modules=replace(modules, **{name: value}))

    staged = stage(tmp_path / "staged", routed(tmp_path / "checkpoint", prompts=PROMPTS), read=read)
    with pytest.raises((CertificateFailed, WayFailed)):
        staged.certify()


def router_of(folder):
    return json.loads((folder / "router_config.json").read_text())


def test_other_routes_are_refused_by_name(tmp_path):
    folder = routed(tmp_path)
    file, stated = folder / "router_config.json", router_of(folder)
    document, pooling = stated["structure"]["document"]
    table = stated["structure"]["query"][0]
    for structure, error, message in (
        ({"query": [document, pooling]}, Unsupported, "sends queries through Transformer, SpladePooling; supported is"),
        ({"image": [table]}, Unsupported, "has the routes 'query', 'document', 'image'; supported are"),
        ({"document": ["0_Nothing"]}, CheckpointError, "puts '0_Nothing' into a route and does not state its type"),
        ({"document": ["../other"]}, CheckpointError, "names the folder '../other'; one within the checkpoint is"),
    ):
        types = stated["types"] | {"../other": stated["types"][document]}
        file.write_text(json.dumps(stated | {"types": types, "structure": stated["structure"] | structure}))
        with pytest.raises(error, match=message):
            load(folder)
    mapped = stated["parameters"] | {"route_mappings": {"('query', 'text')": "document"}}
    file.write_text(json.dumps(stated | {"parameters": mapped}))
    with pytest.raises(Unsupported, match="states 'route_mappings'"):
        load(folder)


def test_the_network_may_lie_beside_the_router(tmp_path):
    """As in checkpoints that transformers is to read, too."""
    folder = routed(tmp_path / "checkpoint")
    stated = router_of(folder)
    name, pooling = stated["structure"]["document"]
    for file in (folder / name).iterdir():
        file.rename(folder / file.name)
    stated["types"] = {"" if key == name else key: value for key, value in stated["types"].items()}
    stated["structure"]["document"] = ["", pooling]
    (folder / "router_config.json").write_text(json.dumps(stated))
    expected = SparseEncoder(str(folder), device="cpu").encode_document(TEXTS, convert_to_sparse_tensor=False).numpy()
    ours = answers(folder, tmp_path / "steps", text=TEXTS)
    np.testing.assert_allclose(rows_of(ours, expected.shape[1]), expected, rtol=0, atol=1e-5)


def test_a_network_of_another_name_may_lie_in_the_router(tmp_path):
    """As in opensearch-neural-sparse-encoding-doc-v3-gte, whose network is `new`."""
    folder = routed(tmp_path / "checkpoint", "gte")
    expected = SparseEncoder(str(folder), device="cpu").encode_document(TEXTS, convert_to_sparse_tensor=False).numpy()
    assert np.ptp(expected, axis=0).max() > 0.01
    file = next(folder.glob("document_0_*/config.json"))
    stated = json.loads(file.read_text()) | {"model_type": "new", "architectures": ["NewForMaskedLM"]}
    stated |= {
        "rope_theta": stated.pop("rope_parameters")["rope_theta"],
        "auto_map": {"AutoModel": "a/b--modeling.New"},
    }
    file.write_text(json.dumps(stated))
    loaded = load(folder)
    assert (loaded.config.model_type, loaded.original) == ("gte", folder)
    assert library_of(loaded, ExportConfig(checkpoint=str(folder), name="tiny")).translated_from == "new"
    ours = answers(folder, tmp_path / "steps", text=TEXTS)
    np.testing.assert_allclose(rows_of(ours, expected.shape[1]), expected, rtol=0, atol=1e-5)
    assert json.loads(file.read_text()) == stated, "nothing was changed there"


def test_what_a_table_may_not_be(tmp_path):
    folder = routed(tmp_path)
    table = folder / router_of(folder)["structure"]["query"][0]
    weights = load_file(table / "model.safetensors")["weight"]
    change(table / "config.json", path="idf.json")
    with pytest.raises(Unsupported, match=r"states 'path': 'idf\.json', which is not supported"):
        load(folder)
    (table / "config.json").write_text('{"frozen": false}')
    for wrong, message in (
        ({"weight": weights[:-1]}, f"has {len(weights) - 1} weights, and the tokenizer knows {len(weights)} tokens"),
        ({"weight": weights[:, None]}, "are no finite number for each token"),
        ({"weight": weights / 0}, "are no finite number for each token"),
        ({"weights": weights}, "are no finite number for each token"),
    ):
        save_file(wrong, table / "model.safetensors", {"format": "pt"})
        with pytest.raises(CheckpointError, match=message):
            load(folder)
    save_file({"weight": weights}, table / "model.safetensors", {"format": "pt"})
    tokenizer = transformers.AutoTokenizer.from_pretrained(table)
    tokenizer.add_tokens(["another"])
    tokenizer.save_pretrained(table)
    with pytest.raises(Unsupported, match="reads queries with another tokenizer than documents"):
        load(folder)


def test_no_other_task_and_no_backend_that_takes_no_empty_request(tmp_path):
    folder = routed(tmp_path)
    with pytest.raises(Unsupported, match="which feature-extraction does not offer; --task sparse-embedding serves it"):
        load(folder, task="feature-extraction")
    config = ExportConfig(checkpoint=str(folder), name="tiny", engine="onnxruntime")
    with pytest.raises(Unsupported, match=r"--engine onnxruntime has a C\+\+ backend, .*; --engine python does"):
        check_queries(config, {"": load(folder)})


def test_a_table_that_no_router_names_is_refused(tmp_path):
    """An older layout: a masked language model beside the weights of its queries."""
    folder = make_checkpoint(tmp_path, "distilbert", network=transformers.AutoModelForMaskedLM)
    assert load(folder, task="sparse-embedding").modules.table is None
    (folder / "idf.json").write_text('{"rain": 2.0}')
    with pytest.raises(Unsupported, match=r"has idf\.json, weights of the tokens of queries, and no Router"):
        load(folder, task="sparse-embedding")
    assert load(folder, task="fill-mask").task.name == "fill-mask"
