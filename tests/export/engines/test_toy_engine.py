"""An engine is one object and one line of the table: nothing else of the exporter knows which engines there are."""

import argparse
from contextlib import contextmanager
from dataclasses import dataclass, replace

import onnxruntime
import pytest
from tritonclient.grpc import model_config_pb2 as pb

from encserve_export.commands import export_command
from encserve_export.config import ExportConfig, Precision
from encserve_export.engines import table
from encserve_export.engines.engine import ORDINARY, Built, Capacity
from encserve_export.engines.plain_engine import PlainEngine
from encserve_export.engines.served_encoder import BatchedPacks
from encserve_export.errors import InvalidConfig
from encserve_export.export import export
from encserve_export.network.packed_graph import GRAPH_FILE
from encserve_export.precision.recipe import Recipe
from encserve_repository.versions import active_config
from encserve_server.steps.encode.host.requirements import HostRequirements
from encserve_server.steps.instance.settings import read_settings


@dataclass(frozen=True)
class ToyEngine(PlainEngine):
    """A backend of Triton's that nobody has; this process runs its graphs in ONNX Runtime."""

    title = name = "toy"
    runtime = device = None
    precisions = {Precision.FP32: Recipe()}  # noqa: RUF012
    tracing = ORDINARY
    measured_on = "cpu"
    tools = ()

    def requests_per_batch(self, manifest):
        return 4

    def least_bytes(self, network, request):
        return None

    def capacity(self, max_length):
        return Capacity(requests=4, tokens_per_request=4_096)

    def build(self, step, stage):
        yield Built(made={"by": "hand"}, memory={"requests_per_batch": 4})

    @contextmanager
    def open(self, step):
        session = onnxruntime.InferenceSession(step.folder / GRAPH_FILE, providers=["CPUExecutionProvider"])
        network = lambda pack, outputs: session.run(list(outputs), dict(pack))  # noqa: E731
        with BatchedPacks(network, follows=step.follows, max_requests=4) as encoder:
            yield encoder

    def requirements(self, precision, plan):
        return HostRequirements(backend="toy")

    def config(self, manifest, tensors):
        config = pb.ModelConfig(backend="toy", max_batch_size=4)
        config.MergeFrom(tensors)
        return config


@pytest.fixture(autouse=True)
def with_a_toy(monkeypatch):
    monkeypatch.setattr(table, "ENGINES", (*table.ENGINES, ToyEngine()))


def test_a_new_engine_exports_certifies_and_publishes(export_config):
    manifest = export(replace(export_config, engine="toy"))
    assert (manifest.engine, manifest.runtime, manifest.device, manifest.token_budget) == ("toy", {}, None, None)
    assert manifest.made == {"by": "hand"}
    assert manifest.memory == {"requests_per_batch": 4}
    assert manifest.limits["max_tokens_per_request"] == 4_096
    assert manifest.requirements["backend"] == "toy"
    assert list(manifest.speed["ways"]) == ["fp32 on toy"]
    assert manifest.parity["arithmetic"] == "measured"
    encode = active_config(export_config.repository, "tiny_encode")
    assert (encode.backend, encode.max_batch_size) == ("toy", 4)
    assert read_settings(export_config.repository / "tiny_tokenize/1")["marker"] == list(manifest.graph_inputs)


def test_the_command_takes_its_name_and_no_other():
    parser = argparse.ArgumentParser()
    export_command.add_arguments(parser)
    assert parser.parse_args(["a", "--name=b", "--engine=toy"]).engine == "toy"
    with pytest.raises(InvalidConfig, match=r"--engine tyo: there is none of that name, only python or .* or toy"):
        table.check_asked(ExportConfig(checkpoint="a", name="b", engine="tyo"))


def test_what_it_does_not_have_is_refused_by_the_table():
    asked = {"checkpoint": "a", "name": "b", "engine": "toy"}
    with pytest.raises(
        InvalidConfig, match="--token-budget 9: engine toy runs each batch as one pack; only engine python"
    ):
        table.check_asked(ExportConfig(**asked, token_budget=9))
    with pytest.raises(InvalidConfig, match="fp16 is for --engine onnxruntime or tensorrt on a GPU"):
        table.check_asked(ExportConfig(**asked, precision=Precision.FP16))
