"""Wrong readings that go through the exported graph, opened as each engine serves it: each is refused, too."""

from contextlib import contextmanager, nullcontext
from dataclasses import replace
from importlib.util import find_spec

import pytest

from encserve_export.config import Device, Engine, Precision, Runtime
from encserve_export.engines.table import engines_like
from encserve_export.engines.ways import Way
from encserve_export.errors import CertificateFailed
from encserve_export.publication.steps import EncodeSteps, trace, write_graph_of
from encserve_export.texts.calibration import Calibration

from .checkpoints import CHECKPOINTS
from .staged import stage
from .test_sabotage import MISTAKES

ENGINES = {
    "python with onnxruntime": {"engine": Engine.PYTHON, "runtime": Runtime.ONNXRUNTIME},
    "python with openvino": {"engine": Engine.PYTHON, "runtime": Runtime.OPENVINO},
    "onnxruntime": {"engine": Engine.ONNXRUNTIME, "device": Device.CPU},
}
NO_TEXTS = Calibration(packs=[], record={})
IN_THE_GRAPH = ("pooling mode", "a layer less")
"""Mistakes that the graph has; those of other steps stand around the right one."""
AROUND_IT = ("not normalised", "maximum length", "offsets shifted by one", "aggregation")


@pytest.fixture(scope="module")
def checkpoint_of(tmp_path_factory):
    made = {}

    def checkpoint(name):
        if name not in made:
            made[name] = CHECKPOINTS[name](tmp_path_factory.mktemp("checkpoint") / "checkpoint")
        return made[name]

    return checkpoint


@pytest.fixture(scope="module")
def graph_of(tmp_path_factory):
    """The FP32 graph of a checkpoint as it was read, each traced once."""
    traced = {}

    def graph(key, checkpoint, engine):
        if key not in traced:
            traced[key] = tmp_path_factory.mktemp("graph") / "traced"
            trace({"": checkpoint}, engine.tracing, traced[key])
        return traced[key]

    return graph


@contextmanager
def served(staged, way, graph):
    """The encode step of a staged pipeline, made and opened as an export does it."""
    checkpoints, folder = {"": staged.checkpoint}, staged.folders["encode"]
    write_graph_of(way, staged.checkpoint, NO_TEXTS, traced=graph, folder=folder)
    timings = folder.parent.parent
    steps = EncodeSteps(checkpoints=checkpoints, config=staged.config, calibration=NO_TEXTS, timings=timings)
    step = steps.step(way.precision, folder)
    (built,) = way.engine.build(step, lambda doing: nullcontext())
    with way.open(replace(step, memory=built.memory)) as encoder:
        yield encoder


@pytest.fixture
def certified(request, checkpoint_of, graph_of, tmp_path, monkeypatch):
    """Certify a checkpoint as one engine serves it, with one of MISTAKES or none."""
    asked = ENGINES[request.param]
    if asked.get("runtime") is Runtime.OPENVINO and find_spec("openvino") is None:
        pytest.skip("OpenVINO is not installed")
    (engine,) = engines_like(asked["engine"], asked.get("runtime"), asked.get("device"))
    way = Way(Precision.FP32, engine)

    def certify(name, mistake=None):
        of_graph = mistake in IN_THE_GRAPH
        made = MISTAKES.get(mistake)
        staged = stage(tmp_path, checkpoint_of(name), **({"read": made.read} if made else {}), **asked)
        if made:
            made.tamper(staged, monkeypatch)
        graph = graph_of((name, mistake if of_graph else None), staged.checkpoint, engine)
        with served(staged, way, graph) as encoder:
            return staged.certify(encoder)

    return certify


IN_FULL, FEW = "python with onnxruntime", ("sentences", "pooling mode")


def with_each_engine(cases):
    """Run a test with each case and engine; of all engines but one, only FEW are not slow."""
    pairs = [(engine, case) for engine in ENGINES for case in cases]
    marks = [() if engine == IN_FULL or case in FEW else pytest.mark.slow for engine, case in pairs]
    params = [pytest.param(*pair, marks=mark) for pair, mark in zip(pairs, marks, strict=True)]
    return pytest.mark.parametrize(("certified", "case"), params, indirect=["certified"])


@with_each_engine(["sentences", "entities"])
def test_a_right_reading_is_certified(case, certified):
    figures = certified(case)["figures"]
    assert figures["answers_max_abs_diff"]["measured"] < 1e-5


@with_each_engine([*IN_THE_GRAPH, *AROUND_IT])
def test_a_wrong_reading_is_refused(case, certified):
    with pytest.raises(CertificateFailed, match=MISTAKES[case].message):
        certified(MISTAKES[case].of, case)
