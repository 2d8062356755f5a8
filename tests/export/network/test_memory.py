"""What is said of the memory of a batch, against what processes take, and limits that follow from it."""

import json
from dataclasses import replace
from functools import partial
from operator import attrgetter
from types import SimpleNamespace

import onnx
import pytest
import transformers

from encserve_export.checkpoint.loading import load_checkpoint
from encserve_export.config import Device, Engine, ExportConfig, Precision
from encserve_export.engines.engine import CutNetwork
from encserve_export.engines.onnxruntime_backend.onnxruntime_engine import ONNXRUNTIME_ON_CPU, ONNXRUNTIME_ON_GPU
from encserve_export.engines.python_backend.python_onnxruntime import ONNXRUNTIME
from encserve_export.engines.python_backend.python_openvino import OPENVINO
from encserve_export.engines.tensorrt_backend.profile import batch_bytes, bounds_of
from encserve_export.errors import InvalidConfig
from encserve_export.export import export
from encserve_export.network.cuts import STATED_BYTES, Cuts, micro_batch_bytes
from encserve_export.network.graph_file import write_graph_file
from encserve_export.network.memory import Request, memory_of, tokens_that_fit
from encserve_export.network.micro_batched_graph import Interface, in_micro_batches
from encserve_export.network.packed_graph import write_graph
from encserve_export.network.packed_heads import packed_network
from encserve_export.network.query_blocks import in_query_blocks
from encserve_export.network.sizes import Sizes, sizes_of
from encserve_export.publication.request_limits import limits_by_head
from encserve_server.steps.instance.lanes import LANES
from export.families.checkpoints import load, write_checkpoint
from export.small_checkpoints import make_checkpoint

from .peaks import peak_of

MINILM = Sizes(width=384, inner=1_536, heads=12)
BASE = Sizes(width=768, inner=3_072, heads=12)
XL = Sizes(width=2_560, inner=10_240, heads=32)
MIB, GIB = 2**20, 2**30
LONG = 4_096


def test_a_batch_of_the_longest_texts_takes_what_is_stated(tmp_path):
    """A network large enough to be seen beside what a process takes anyway, at the longest texts that it has."""
    longest = 512
    sizes = {"hidden_size": 256, "num_attention_heads": 8, "intermediate_size": 1024, "num_hidden_layers": 1}
    made = make_checkpoint(tmp_path / "checkpoint", max_position_embeddings=longest, **sizes)
    checkpoint = load_checkpoint(ExportConfig(checkpoint=str(made), name="tiny", repository=tmp_path))
    write_graph(checkpoint, packed_network(checkpoint), tmp_path / "model.onnx")
    cuts = Cuts(tokens=1024, places=2048, padding=6000, pairs=2**20)
    interface = Interface(inputs=checkpoint.graph_inputs, follows={checkpoint.task.output: "lengths"})
    write_graph_file(in_micro_batches(onnx.load(tmp_path / "model.onnx"), interface, cuts), tmp_path / "cut.onnx")

    request = Request(tokens=16 * longest, longest=longest, numbers_per_token=sizes["hidden_size"] / longest)
    stated = memory_of(request, micro_batch_bytes(sizes_of([checkpoint]), cuts, longest))["request_bytes"]
    assert stated / 4 < peak_of(tmp_path / "cut.onnx", [longest] * 16) < stated


@pytest.mark.slow
@pytest.mark.parametrize(("case", "arena"), [("modernbert", True), ("gte", False)])
def test_one_text_of_thousands_of_tokens_takes_what_is_stated(case, arena, tmp_path):
    """Of which the scores of 4 heads would take 268 MB in each array, with all queries at once."""
    changes = {"max_position_embeddings": LONG, "num_hidden_layers": 2}
    checkpoint = load(write_checkpoint(tmp_path / "checkpoint", case, max_length=LONG, **changes))
    write_graph(checkpoint, packed_network(checkpoint), tmp_path / "model.onnx")
    sizes, cuts = sizes_of([checkpoint]), Cuts(tokens=1024, places=2048, padding=6000, pairs=2**22)
    graph = onnx.load(tmp_path / "model.onnx")
    assert in_query_blocks(graph, cuts.pairs * sizes.heads) == 2
    interface = Interface(inputs=checkpoint.graph_inputs, follows={checkpoint.task.output: "lengths"})
    write_graph_file(in_micro_batches(graph, interface, cuts), tmp_path / "cut.onnx")

    whole, stated = (micro_batch_bytes(sizes, cuts, LONG, in_blocks=blocks) for blocks in (False, True))
    took = peak_of(tmp_path / "cut.onnx", [LONG], arena=arena)
    assert stated / 4 < took < stated < whole / 2


ENGINES = [ONNXRUNTIME_ON_CPU, ONNXRUNTIME_ON_GPU, ONNXRUNTIME, OPENVINO]
TITLE = attrgetter("title")


def worst_case(engine, sizes, request_of, *, token_budget=None):
    """Of the limits that an export would choose: tokens of a request, and what the engine takes at the least then."""
    budget = engine.token_budget(token_budget)
    least_bytes = partial(engine.least_bytes, CutNetwork(sizes=sizes, precision=Precision.FP32, token_budget=budget))
    tokens = tokens_that_fit(65_536, request_of, least_bytes)
    return tokens, least_bytes(request_of(tokens))


def of_texts(longest, width):
    """Requests of texts up to `longest` tokens, with a row for each."""
    return lambda tokens: Request(
        tokens=tokens, longest=longest, numbers_per_token=min(256, tokens) * width / tokens, columns=width
    )


@pytest.mark.parametrize("engine", ENGINES, ids=TITLE)
@pytest.mark.parametrize("sizes", [MINILM, BASE, XL])
@pytest.mark.parametrize("longest", [128, 512])
def test_the_worst_case_of_every_network_fits_into_what_is_stated(sizes, longest, engine):
    tokens, bytes_ = worst_case(engine, sizes, of_texts(longest, sizes.width))
    assert tokens == 65_536
    assert bytes_ <= STATED_BYTES


@pytest.mark.parametrize("longest", [2_048, 8_192])
@pytest.mark.parametrize("engine", [ONNXRUNTIME_ON_CPU, ONNXRUNTIME_ON_GPU, ONNXRUNTIME], ids=TITLE)
def test_long_texts_fit_where_their_queries_are_taken_in_blocks(engine, longest):
    """On a CPU one of 8,192 tokens once took 10 GB; on a GPU two such texts at once, 20 GB."""
    assert worst_case(engine, BASE, of_texts(longest, BASE.width))[1] <= STATED_BYTES


def test_what_no_smaller_request_would_mend_makes_none_smaller():
    """Two lanes with a text each of which OpenVINO keeps all scores."""
    tokens, bytes_ = worst_case(OPENVINO, BASE, of_texts(8_192, 768))
    assert tokens == 65_536
    assert bytes_ > STATED_BYTES


@pytest.mark.parametrize(("engine", "at_once"), [(ONNXRUNTIME_ON_CPU, 1), (ONNXRUNTIME, len(LANES))])
def test_a_request_leaves_room_for_as_many_as_are_computed_at_once(engine, at_once):
    """Engine python has two lanes, each with a micro-batch on the same core and a request of its own."""

    def of_tokens(tokens):
        return Request(tokens=tokens, longest=512, numbers_per_token=30_522, columns=30_522)

    tokens, bytes_ = worst_case(engine, MINILM, of_tokens)
    assert at_once * of_tokens(tokens).bytes < bytes_ <= STATED_BYTES
    assert at_once * of_tokens(2 * tokens).bytes > STATED_BYTES - 2**30


def test_where_batches_are_cut_depends_on_the_longest_text_and_on_the_heads():
    cuts = ONNXRUNTIME_ON_GPU.cuts(BASE, Precision.FP32)
    assert cuts.tokens == 16_384
    assert 16_384 * 256 <= cuts.pairs < 2 * 8_192**2, "64 texts of 256 tokens run together, two of 8,192 do not"
    assert ONNXRUNTIME_ON_GPU.cuts(replace(BASE, heads=48), Precision.FP32).pairs < 16_384 * 256
    assert ONNXRUNTIME_ON_GPU.cuts(XL, Precision.FP32).tokens < 16_384


@pytest.mark.parametrize("sizes", [MINILM, BASE, XL])
def test_on_a_gpu_padding_is_bounded_by_the_scores_that_it_moves_and_not_by_what_a_cpu_pays(sizes):
    """What a micro-batch costs is on a CPU as much as ten tokens, and on a GPU the launch of each operator."""
    gpu, cpu = (engine.cuts(sizes, Precision.FP32) for engine in (ONNXRUNTIME_ON_GPU, ONNXRUNTIME_ON_CPU))
    assert 2**21 < gpu.padding * sizes.heads <= 2**22
    assert cpu.padding < gpu.padding < gpu.pairs
    assert replace(ONNXRUNTIME_ON_GPU, fused_attention=True).cuts(sizes, Precision.FP32).padding == gpu.pairs


def test_attention_in_one_operator_is_bounded_by_memory_and_not_by_padding():
    fused = replace(ONNXRUNTIME_ON_GPU, fused_attention=True).cuts(BASE, Precision.FP32)
    assert fused.padding == fused.pairs
    assert micro_batch_bytes(BASE, fused, 512) < 3 * GIB


@pytest.mark.parametrize(("tokens_per_answer", "requests"), [(0, 16), (384, 8), (30_000, 1)])
def test_a_batch_has_as_many_requests_as_fit(tokens_per_answer, requests):
    def request_of(tokens):
        return Request(tokens=tokens, longest=512, numbers_per_token=tokens_per_answer)

    micro_batch = micro_batch_bytes(MINILM, Cuts(tokens=1024, places=2048, padding=8727, pairs=2**21), 512)
    fitting = request_of(
        tokens_that_fit(65_536, request_of, lambda each: memory_of(each, micro_batch)["request_bytes"])
    )
    memory = memory_of(fitting, micro_batch)
    assert memory["requests_per_batch"] == requests
    assert memory["batch_bytes"] <= STATED_BYTES
    assert fitting.tokens == (65_536 if requests > 1 else 8_192)


def test_a_token_budget_that_leaves_no_memory_for_a_request_is_refused(export_config):
    """It once left room for one text in a request, and nobody was told."""
    checkpoints = {"": load_checkpoint(export_config)}
    (limits,) = limits_by_head(checkpoints, replace(export_config, token_budget=100_000)).values()
    assert limits.max_tokens_per_request == 65_536
    message = r"--token-budget 4000000: .* take up to 18\.\d GiB beside the weights, and 4 GiB are the most"
    with pytest.raises(InvalidConfig, match=message):
        limits_by_head(checkpoints, replace(export_config, token_budget=4_000_000))


def test_a_network_that_gives_a_weight_to_each_token_of_its_vocabulary_is_cut_smaller():
    sparse = replace(BASE, head=4 * 30_522)
    cuts = ONNXRUNTIME_ON_GPU.cuts(sparse, Precision.FP32)
    assert cuts.tokens < ONNXRUNTIME_ON_GPU.cuts(BASE, Precision.FP32).tokens
    assert micro_batch_bytes(sparse, cuts, 128) <= STATED_BYTES / 2


def test_sizes_are_read_by_the_names_that_families_give_them():
    t5 = transformers.T5Config(d_model=64, d_kv=32, num_heads=8, d_ff=300)
    task = SimpleNamespace(name="feature-extraction")
    checkpoint = SimpleNamespace(config=t5, task=task, dimensions=64, adapters=(), entities=None)
    sizes = sizes_of([checkpoint])
    assert (sizes.width, sizes.inner, sizes.heads) == (8 * 32, 300, 8)
    assert sizes.of_each_pair > 8, "its bias has a number for each head and pair"


def test_a_plan_of_tiles_takes_less_than_one_that_pads_each_text():
    for longest in (128, 512, 2_048):
        tiled, padded = (batch_bytes(bounds_of(longest), replace(BASE, padded=padded)) for padded in (False, True))
        assert tiled < padded


@pytest.mark.parametrize(
    ("choice", "said"),
    [
        (
            {"engine": Engine.PYTHON},
            {
                "micro_batch_bytes",
                "micro_batches_per_core",
                "bytes_per_core",
                "waiting_bytes_per_core",
                "request_bytes",
            },
        ),
        (
            {"engine": Engine.ONNXRUNTIME, "device": Device.CPU},
            {"requests_per_batch", "micro_batch_bytes", "request_bytes", "batch_bytes"},
        ),
    ],
)
def test_every_engine_says_what_it_takes(choice, said, export_config):
    manifest = export(replace(export_config, **choice))
    written = json.loads((export_config.repository / "tiny/1/manifest.json").read_text())
    assert written["memory"] == manifest.memory
    assert set(manifest.memory) == said
    assert all(value > 0 for value in manifest.memory.values())
