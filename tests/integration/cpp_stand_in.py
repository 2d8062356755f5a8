"""A Python step in the place of a C++ encode step: it looks the same to Triton and to the steps around it.

The tensors, the batches that Triton forms, and the queue are those of the exported configuration. It answers in
`execute`, one batch at a time, and says nothing of what it has to do.
"""

import json
from pathlib import Path
from tempfile import TemporaryDirectory

from serving import sha256_of

from encserve_repository.config_text import from_text, to_text

MODEL = """
import os
import time
from pathlib import Path

import numpy as np
import onnxruntime
import triton_python_backend_utils as pb_utils


class TritonPythonModel:
    def initialize(self, args):
        self.session = onnxruntime.InferenceSession(Path(__file__).with_name("model.onnx"))
        self.inputs = [each.name for each in self.session.get_inputs()]
        (self.output,) = [each.name for each in self.session.get_outputs()]
        self.tokens_per_s = float(os.environ["STAND_IN_TOKENS_PER_S"])
        self.fails = Path(os.environ["STAND_IN_FAILS"])
        self.log = Path(os.environ["STAND_IN_LOG"]).open("a", buffering=1)

    def execute(self, requests):
        began_s = time.monotonic()
        feeds = [{{name: self.tensor(request, name) for name in self.inputs}} for request in requests]
        texts = [len(feed["lengths"]) for feed in feeds]
        tokens = sum(len(feed["input_ids"]) for feed in feeds)
        if self.fails.exists():
            raise RuntimeError("the device is lost")
        (rows,) = self.session.run(
            [self.output], {{name: np.concatenate([feed[name] for feed in feeds]) for name in self.inputs}}
        )
        time.sleep(max(0.0, tokens / self.tokens_per_s - (time.monotonic() - began_s)))
        print(began_s, time.monotonic(), len(texts), file=self.log)
        return [
            pb_utils.InferenceResponse([pb_utils.Tensor(self.output, own[None])])
            for own in np.split(rows, np.cumsum(texts)[:-1])
        ]

    @staticmethod
    def tensor(request, name):
        return pb_utils.get_input_tensor_by_name(request, name).as_numpy()[0]
""".replace("{{", "{").replace("}}", "}")
"""It computes `STAND_IN_TOKENS_PER_S` tokens a second, where the machine can, and fails as long as there is the file
`STAND_IN_FAILS`. To `STAND_IN_LOG` it writes when each batch began and ended, and how many requests were in it."""


def export_for_cpp(repository: Path) -> None:
    """Export a small BERT as `tiny` for Triton's onnxruntime backend, and put the stand-in in the place of the step
    that it would run."""
    from export.small_checkpoints import make_checkpoint

    from encserve_export.config import Device, Engine, ExportConfig
    from encserve_export.export import export

    name = "tiny"
    with TemporaryDirectory() as folder:
        checkpoint = make_checkpoint(Path(folder) / "checkpoint")
        config = {"checkpoint": str(checkpoint), "name": name, "repository": repository}
        export(ExportConfig(**config, engine=Engine.ONNXRUNTIME, device=Device.CPU))
    file = repository / f"{name}_encode" / "config.pbtxt"
    config = from_text(file.read_text())
    config.backend = "python"
    for field in ("batch_output", "model_warmup", "parameters", "optimization"):
        config.ClearField(field)
    file.write_text(to_text(config))
    (file.parent / "1" / "model.py").write_text(MODEL)
    manifest = repository / name / "1" / "manifest.json"
    stated = json.loads(manifest.read_text())
    stated["requirements"]["backend"] = "python"  # or the launcher would miss the other
    manifest.write_text(json.dumps(stated))
    for file in (repository / name / "config.pbtxt", manifest.with_name("config.pbtxt")):
        config = from_text(file.read_text())
        config.parameters["certificate"].string_value = sha256_of(manifest)
        file.write_text(to_text(config))
