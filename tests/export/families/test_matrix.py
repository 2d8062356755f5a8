"""Every family, packed, against the checkpoint that reads each text alone."""

import numpy as np
import onnxruntime
import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from encserve_export.attention.encoding import attention, token_states
from encserve_export.attention.families import FAMILIES
from encserve_export.attention.packing import packing_of
from encserve_export.certificate.alone import vector_alone
from encserve_export.certificate.guard import check_texts_are_apart
from encserve_export.checkpoint.loading import load_checkpoint
from encserve_export.config import ExportConfig
from encserve_export.network.cuts import Cuts
from encserve_export.network.graph_file import read_graph_file, write_graph_file
from encserve_export.network.micro_batched_graph import Interface, in_micro_batches
from encserve_export.network.packed_graph import write_graph
from encserve_export.network.packed_heads import packed_network
from encserve_export.network.query_blocks import in_query_blocks

from .checkpoints import CASES

PACKS = ([1], [1, 1], [7], [1, 150], [5] * 40, [128, 3], [33, 2, 17, 64, 8], [3, 0, 9, 0])
"""Lengths in tokens. The graph is traced with other packs, whose longest text has 33."""
CUTS = Cuts(tokens=120, places=200, padding=600, pairs=9_000)
MOST_SCORES = 2_000
MAX_DIFFERENCE = 1e-4
MAX_DIFFERENCE_IN_COMPANY = 1e-5


def packs(checkpoint):
    """Token ids of each of PACKS, special tokens among them, with the lengths."""
    generator = torch.Generator().manual_seed(1)
    for lengths in PACKS:
        yield torch.randint(checkpoint.config.vocab_size, (sum(lengths),), generator=generator), lengths


def test_every_family_is_in_the_matrix():
    assert {case.split()[0] for case in CASES} == FAMILIES.keys()


@pytest.mark.parametrize("case", CASES)
def test_packed_network_agrees_with_each_text_alone(case, checkpoint_of):
    checkpoint = checkpoint_of(case)
    check_texts_are_apart(checkpoint)
    worst = 0.0
    for input_ids, lengths in packs(checkpoint):
        with attention(checkpoint.model), torch.inference_mode():
            states = token_states(checkpoint.model, input_ids, packing_of(torch.tensor(lengths), len(input_ids)))
        for rows, ids in zip(states.split(lengths), input_ids.split(lengths), strict=True):
            if len(ids):
                with torch.inference_mode():
                    alone = checkpoint.model(input_ids=ids[None], attention_mask=torch.ones_like(ids)[None])
                worst = max(worst, float((rows - alone.last_hidden_state[0]).abs().max()))
    assert worst < MAX_DIFFERENCE


class LargestTensor(TorchDispatchMode):
    """Elements of the largest tensor that any operator returns."""

    elements = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        result = func(*args, **(kwargs or {}))
        if isinstance(result, torch.Tensor):
            self.elements = max(self.elements, result.numel())
        return result


@pytest.mark.parametrize("case", CASES)
def test_nothing_is_as_large_as_a_pack_squared(case, checkpoint_of):
    checkpoint = checkpoint_of(case)
    lengths = torch.tensor([5] * 600)
    input_ids = torch.full((3000,), 7)
    with attention(checkpoint.model), torch.inference_mode(), LargestTensor() as largest:
        token_states(checkpoint.model, input_ids, packing_of(lengths, len(input_ids)))
    assert 0 < largest.elements < len(input_ids) ** 2


@pytest.mark.slow  # an ONNX export takes seconds; what is peculiar to families is served by the sample of the matrix
@pytest.mark.parametrize("case", CASES)
def test_graph_agrees_with_each_text_alone(case, checkpoint_of, tmp_path):
    """As it is traced; and as it cuts batches into micro-batches by itself, and the queries of each into blocks."""
    checkpoint = checkpoint_of(case)
    write_graph(checkpoint, packed_network(checkpoint), tmp_path / "model.onnx")
    interface = Interface(inputs=checkpoint.graph_inputs, follows={checkpoint.task.output: "lengths"})
    check_graph(checkpoint, tmp_path / "model.onnx")
    graph = read_graph_file(tmp_path / "model.onnx")
    assert in_query_blocks(graph, MOST_SCORES) == 2, "one in each layer"
    write_graph_file(in_micro_batches(graph, interface, CUTS), tmp_path / "model.onnx")
    check_graph(checkpoint, tmp_path / "model.onnx")


def check_graph(checkpoint, file):
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(file, options, providers=["CPUExecutionProvider"])
    assert [(value.name, value.shape, value.type) for value in session.get_inputs()] == [
        ("input_ids", ["tokens"], "tensor(int64)"),
        ("lengths", ["texts"], "tensor(int64)"),
    ]

    def vectors_of(input_ids, lengths):
        return session.run(None, {"input_ids": input_ids.numpy(), "lengths": np.array(lengths)})[0]

    worst = worst_in_company = 0.0
    seen = []
    for input_ids, lengths in packs(checkpoint):
        for vector, ids in zip(vectors_of(input_ids, lengths), input_ids.split(lengths), strict=True):
            if len(ids):
                worst = max(worst, np.abs(vector - vector_alone(checkpoint, ids.tolist()).numpy()).max())
                worst_in_company = max(worst_in_company, np.abs(vector - vectors_of(ids, [len(ids)])[0]).max())
                seen.append(vector)
    assert worst < MAX_DIFFERENCE
    assert worst_in_company < MAX_DIFFERENCE_IN_COMPANY
    assert np.stack(seen).std(0).mean() > 0.1, "the texts have all but the same vector, which proves nothing"


def test_the_graph_names_no_file_of_the_machine_that_made_it(checkpoint_folder, tmp_path):
    checkpoint = load_checkpoint(ExportConfig(checkpoint=str(checkpoint_folder), name="tiny"))
    write_graph(checkpoint, packed_network(checkpoint), tmp_path / "model.onnx")
    assert b".py" not in (tmp_path / "model.onnx").read_bytes()
