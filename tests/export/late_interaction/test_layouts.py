"""The three layouts of late interaction, each as its own library reads it, or refused by name.

`tests/golden/late_interaction` has what PyLate 1.6.0 (with sentence-transformers 5.3.0 and transformers 5.3.0, which do
not install beside ours) says of the same checkpoints and texts, one text at a time; its `make.py` asked it.
"""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from sentence_transformers import MultiVectorEncoder

from encserve_export.attention.encoding import attention
from encserve_export.errors import CheckpointError, Unsupported
from export.checkpoints.in_process import answers, load

from . import layouts
from .layouts import DOCUMENT_LENGTH, MADE, QUERY_LENGTH

GOLDEN = Path(__file__).parents[2] / "golden" / "late_interaction"
TEXTS = [
    "The Library of the Town opens at Nine.",
    "rain",
    "",
    "Of all the trees, in the garden; only the oldest one had lost its leaves before the first night of frost!",
    "(a) [b] ...",
]
QUERY = "where do trees grow?"
EXPANSION = {"strategy": "fixed", "length": QUERY_LENGTH, "attend": False}
OF_PYLATE = {
    "stanford": layouts.stanford,
    "stanford_attended": lambda folder: layouts.stanford(folder, attend_to_mask_tokens=True),
    "pylate": layouts.pylate,
    "pylate_attended": lambda folder: layouts.pylate(folder, attend_to_expansion_tokens=True),
    "pylate_unexpanded": lambda folder: layouts.pylate(folder, do_query_expansion=False),
}
OF_SENTENCE_TRANSFORMERS = {
    "prompts": {},
    "expansion": {"expansion": EXPANSION, "mask": {"skiplist_words": [".", ",", "no word of it"]}},
    "longer queries": {
        "expansion": EXPANSION | {"strategy": "min", "attend": True, "token": "<unk>"},
        "mask": {"skiplist_words": ["."], "skiplist_tasks": ["query", "document"]},
        "query_length": 30,
        "similarity": "meanmaxsim",
        "prompts": {"query": "", "passage": "a passage: "},
    },
    "positions that count tokens": {"case": "roberta", "expansion": EXPANSION, "mask": {}},
}


def parts(answer):
    return np.split(answer["embedding"], np.cumsum(answer["vector_count"])[:-1])


def close(ours, theirs):
    assert [each.shape for each in ours] == [each.shape for each in theirs]
    for one, other in zip(ours, theirs, strict=True):
        np.testing.assert_allclose(one, other, rtol=0, atol=1e-5)


@pytest.mark.parametrize("name", OF_PYLATE)
def test_the_vectors_are_those_of_pylate(name, tmp_path):
    folder = OF_PYLATE[name](tmp_path / "checkpoint")
    golden = np.load(GOLDEN / f"{name}.npz")
    for kind in ("query", "document"):
        ours = answers(folder, tmp_path / kind, {"input_type": kind}, text=TEXTS)
        close(parts(ours), [golden[f"{kind}_{number}"] for number in range(len(TEXTS))])


@pytest.mark.parametrize("name", OF_SENTENCE_TRANSFORMERS)
def test_the_vectors_and_scores_are_those_of_sentence_transformers(name, tmp_path):
    folder = layouts.native(tmp_path / "checkpoint", **OF_SENTENCE_TRANSFORMERS[name])
    theirs = MultiVectorEncoder(str(folder), device="cpu")
    encode = {"query": theirs.encode_query, "document": theirs.encode_document}
    for kind, one in encode.items():
        ours = answers(folder, tmp_path / kind, {"input_type": kind}, text=TEXTS)
        close(parts(ours), [one(text).numpy() for text in TEXTS])
    ranked = answers(folder, tmp_path / "rank", {"rank": True}, text=[QUERY, *TEXTS])
    documents = [encode["document"](text) for text in TEXTS]
    scores = theirs.similarity([encode["query"](QUERY)], documents)[0].numpy()
    order = np.argsort(-scores, kind="stable")
    assert ranked["index"].tolist() == order.tolist()
    np.testing.assert_allclose(ranked["score"], scores[order], rtol=0, atol=1e-4)


def test_the_rule_of_stanford_in_plain_torch(tmp_path):
    """Markers behind the first token, masks behind a query that nothing attends to, no punctuation in documents, one
    linear layer, length one, and the sum of the largest products."""
    folder = layouts.stanford(tmp_path / "checkpoint")
    checkpoint = load(folder)
    tokenizer, vocabulary = checkpoint.tokenizer, checkpoint.tokenizer.get_vocab()
    linear = load_file(folder / "model.safetensors")["linear.weight"]
    skipped = [vocabulary[sign] for sign in ".,;!?()[]" if sign in vocabulary]

    @torch.inference_mode()
    def vectors(text, marker, length, *, query):
        first, *own = tokenizer(text, truncation=True, max_length=length - 1)["input_ids"]
        ids = [first, vocabulary[marker], *own]
        masks = length - len(ids) if query else 0
        row = torch.tensor([ids + [tokenizer.mask_token_id] * masks])
        seen = torch.tensor([[1] * len(ids) + [0] * masks])
        states = checkpoint.encoder(input_ids=row, attention_mask=seen).last_hidden_state[0]
        kept = torch.ones(len(states), dtype=torch.bool) if query else ~torch.isin(row[0], torch.tensor(skipped))
        return torch.nn.functional.normalize((states @ linear.T)[kept], dim=-1).numpy()

    query = vectors(QUERY, "[unused0]", QUERY_LENGTH, query=True)
    documents = [vectors(text, "[unused1]", DOCUMENT_LENGTH, query=False) for text in TEXTS]
    close(parts(answers(folder, tmp_path / "documents", text=TEXTS)), documents)
    ranked = answers(folder, tmp_path / "rank", {"rank": True}, text=[QUERY, *TEXTS])
    scores = np.array([(query @ document.T).max(1).sum() for document in documents])
    np.testing.assert_allclose(ranked["score"], -np.sort(-scores), rtol=0, atol=1e-4)


def test_the_length_of_documents_may_be_asked_for(tmp_path):
    folder = layouts.stanford(tmp_path / "checkpoint")
    checkpoint = load(folder, max_length=20)
    assert (checkpoint.side_lengths, checkpoint.max_length) == ((QUERY_LENGTH, 20), 20)
    assert load(folder).max_length == DOCUMENT_LENGTH
    assert checkpoint.dimensions == MADE
    with attention(checkpoint.encoder):
        assert checkpoint.graph_inputs == ("input_ids", "lengths", "attention_mask")
    assert checkpoint.added_tokens == 1 + QUERY_LENGTH


def change(file, **changes):
    stated = json.loads(file.read_text()) | changes
    file.write_text(json.dumps({key: value for key, value in stated.items() if value != "gone"}))


@pytest.mark.parametrize(
    ("changes", "error", "message"),
    [
        ({"similarity": "l2"}, Unsupported, "states 'similarity': 'l2', .* supported is 'cosine'"),
        ({"interaction": "flipr"}, Unsupported, "states 'interaction': 'flipr'"),
        ({"relu": True}, Unsupported, "states 'relu': True"),
        ({"a_key": 1}, Unsupported, "states 'a_key': 1, which is not supported: nothing here reads it"),
        ({"doc_maxlen": "gone"}, CheckpointError, "states doc_maxlen None; a number of tokens is expected"),
        ({"query_maxlen": "32"}, CheckpointError, "states query_maxlen '32'"),
        ({"doc_maxlen": 4000}, Unsupported, "documents of 4000 tokens are stated, and the network takes"),
        ({"dim": 96}, CheckpointError, r"linear\.weight .* has the shape \[12, 32\], .* states dim 96"),
        ({"query_token_id": "[nowhere]"}, Unsupported, r"'\[nowhere\]', which marks a kind of text, is no token"),
        ({"query_token_id": ["[Q]"]}, CheckpointError, r"states query_token_id \['\[Q\]'\]; a token is expected"),
    ],
)
def test_what_stanford_s_metadata_may_not_say(changes, error, message, tmp_path):
    folder = layouts.stanford(tmp_path)
    change(folder / "artifact.metadata", **changes)
    with pytest.raises(error, match=message):
        load(folder)


def test_a_stanford_checkpoint_that_lacks_a_part(tmp_path):
    folder = layouts.stanford(tmp_path / "checkpoint")
    metadata = (folder / "artifact.metadata").read_text()
    (folder / "artifact.metadata").unlink()
    with pytest.raises(CheckpointError, match=r"architecture HF_ColBERT\) and has no artifact\.metadata"):
        load(folder)
    (folder / "artifact.metadata").write_text(metadata)
    for task in ("token-embedding", "feature-extraction"):
        with pytest.raises(Unsupported, match=f"which {task} does not offer; --task late-interaction serves it"):
            load(folder, task=task)
    weights = load_file(folder / "model.safetensors")
    torch.save(weights, folder / "pytorch_model.bin")
    save_file({**weights, "other.weight": torch.ones(2)}, folder / "model.safetensors", {"format": "pt"})
    with pytest.raises(Unsupported, match=r"1 tensors that neither .* such as other\.weight"):
        load(folder)
    del weights["linear.weight"]
    save_file(weights, folder / "model.safetensors", {"format": "pt"})
    with pytest.raises(CheckpointError, match=r"have no linear\.weight, the projection of a ColBERT"):
        load(folder)
    (folder / "model.safetensors").unlink()
    with pytest.raises(CheckpointError, match="are a pickle, which can run code when it is read"):
        load(folder)
    assert load(folder, allow_pickle=True).dimensions == MADE


def test_two_projections(tmp_path):
    """PyLate's files beside Stanford's: one reader takes the one, another the other."""
    folder = layouts.pylate(tmp_path / "checkpoint", "bert")
    change(folder / "config.json", architectures=["HF_ColBERT"])
    weights = load_file(folder / "model.safetensors")
    for linear, refused in ((layouts.even((MADE, 32), 7), False), (layouts.even((MADE, 32), 8), True)):
        save_file(weights | {"linear.weight": linear}, folder / "model.safetensors", {"format": "pt"})
        if refused:
            with pytest.raises(Unsupported, match=r"another projection in modules\.json: only one of them can be"):
                load(folder)
        else:
            assert load(folder).dimensions == MADE


@pytest.mark.parametrize(
    ("changes", "error", "message"),
    [
        ({"document_length": "gone"}, CheckpointError, "is PyLate's and does not state document_length"),
        ({"query_prefix": "gone"}, CheckpointError, "does not state query_prefix"),
        ({"query_length": -1}, CheckpointError, "states query_length -1"),
        ({"prompts": {"query": "find: "}}, Unsupported, "states prompts beside PyLate's markers"),
        ({"query_prefix": "[X] "}, Unsupported, r"'\[X\] ', which marks a kind of text, is no token"),
        ({"skiplist_words": ".,"}, CheckpointError, "states skiplist_words '.,'; a list of texts"),
        ({"similarity_fn_name": "xtr"}, Unsupported, "states 'similarity_fn_name': 'xtr', which is not supported"),
        ({"pool_factor": 2}, Unsupported, "states 'pool_factor': 2"),
    ],
)
def test_what_pylate_s_settings_may_not_say(changes, error, message, tmp_path):
    folder = layouts.pylate(tmp_path)
    change(folder / "config_sentence_transformers.json", **changes)
    with pytest.raises(error, match=message):
        load(folder)


def test_layers_of_pylate_with_a_residual(tmp_path):
    """Of as many numbers as they take, and of fewer: then the residual is projected, too."""
    gelu = {"use_residual": True, "activation_function": "torch.nn.modules.activation.GELU"}
    folder = layouts.pylate(tmp_path / "checkpoint", layers=(gelu | {"out_features": 32}, gelu))
    theirs = MultiVectorEncoder(str(folder), device="cpu")
    assert [module.use_residual for module in theirs if hasattr(module, "use_residual")] == [True, True]
    for kind, encode in (("query", theirs.encode_query), ("document", theirs.encode_document)):
        ours = answers(folder, tmp_path / kind, {"input_type": kind}, text=TEXTS)
        close(parts(ours), [encode(text).numpy() for text in TEXTS])
    (layer,) = folder.glob("2_Dense")
    weights = load_file(layer / "model.safetensors")
    save_file({"linear.weight": weights["linear.weight"]}, layer / "model.safetensors", {"format": "pt"})
    with pytest.raises(CheckpointError, match=r"(?s)the weights of .* do not fit its config\.json: .*residual\.weight"):
        load(folder)


def test_what_sentence_transformers_settings_may_not_say(tmp_path):
    folder = layouts.native(tmp_path, expansion=EXPANSION, mask={})
    transformer, stated = folder / "sentence_bert_config.json", folder / "config_sentence_transformers.json"
    (mask,) = (path for path in folder.glob("*MultiVectorMask*/config.json"))
    kept = {file: file.read_text() for file in (transformer, stated, mask, folder / "modules.json")}
    for file, changes, message in (
        (transformer, {"query_expansion": EXPANSION | {"strategy": "max"}}, "has strategy 'max'; supported are"),
        (transformer, {"query_expansion": EXPANSION | {"more": 1}}, "states 'more': 1"),
        (transformer, {"query_length": 8}, "query_length is 8 and query_expansion fills queries up to 16"),
        (transformer, {"processing_kwargs": {"text": {"max_length": 9}}}, "cuts texts of both kinds at 9 tokens"),
        (stated, {"default_prompt_name": "query"}, "states 'default_prompt_name': 'query', for texts that are neither"),
        (mask, {"keep_only_token_ids": [3]}, r"states 'keep_only_token_ids': \[3\]"),
        (mask, {"skiplist_tasks": ["image"]}, r"states skiplist_tasks \['image'\]; supported are"),
    ):
        change(file, **changes)
        with pytest.raises((Unsupported, CheckpointError), match=message):
            load(folder)
        file.write_text(kept[file])
    modules = json.loads((folder / "modules.json").read_text())
    without = [each for each in modules if "MultiVectorMask" not in each["type"]]
    (folder / "modules.json").write_text(json.dumps(without))
    with pytest.raises(Unsupported, match="filled up, and no MultiVectorMask has the vectors of that count"):
        load(folder)


@pytest.mark.parametrize("case", ["deberta-v2", "esm", "qwen2"])
def test_networks_that_a_mask_does_more_to_are_refused(case, tmp_path):
    folder = layouts.native(tmp_path, case, expansion=EXPANSION, mask={})
    with pytest.raises(Unsupported, match=f"others do not attend to, which is not supported for {case}"):
        load(folder)


def test_a_window_in_which_a_mask_may_see_nothing_is_refused(tmp_path):
    folder = layouts.pylate(tmp_path, query_length=24)
    with pytest.raises(
        Unsupported, match=r"filled up to 24 tokens .* a window of 16 tokens around the last of them may"
    ):
        load(folder)
    change(folder / "config_sentence_transformers.json", attend_to_expansion_tokens=True)
    assert load(folder).side_lengths == (24, DOCUMENT_LENGTH)


def test_a_tokenizer_that_pads_on_the_left_is_refused(tmp_path):
    folder = layouts.native(tmp_path, expansion=EXPANSION | {"attend": True}, mask={})
    change(folder / "tokenizer_config.json", padding_side="left")
    with pytest.raises(Unsupported, match="pads on the left"):
        load(folder)


def test_a_checkpoint_that_does_not_say_how_it_reads_queries(tmp_path):
    folder = layouts.write_checkpoint(tmp_path, "bert")
    with pytest.raises(Unsupported, match="does not say how it reads queries and documents"):
        load(folder, task="late-interaction")
