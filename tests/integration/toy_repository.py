"""A pipeline of three tiny Python-backend steps: it answers each text with itself, and can be told to misbehave."""

import hashlib
import json
from pathlib import Path

from toy_manifest import toy_manifest

from encserve import PipelineInfo

STEPS = ("tokenize", "encode", "head")

MODEL = """
import time

import triton_python_backend_utils as pb_utils


class TritonPythonModel:
    def initialize(self, args):
        {initialize}

    def execute(self, requests):
        responses = []
        for request in requests:
            text = pb_utils.get_input_tensor_by_name(request, "text")
            if text.as_numpy().ravel()[0] == b"sleep":
                time.sleep(3_600)
            responses.append(pb_utils.InferenceResponse([pb_utils.Tensor("text", text.as_numpy())]))
        return responses
"""

STEP_CONFIG = """
name: "{name}"
backend: "python"
max_batch_size: 1
input [ {{ name: "text" data_type: TYPE_STRING dims: [ -1 ] }} ]
output [ {{ name: "text" data_type: TYPE_STRING dims: [ -1 ] }} ]
version_policy {{ specific {{ versions: 1 }} }}
instance_group [ {{ kind: KIND_CPU count: 1 }} ]
"""

ENSEMBLE_CONFIG = """
name: "{name}"
platform: "ensemble"
max_batch_size: 1
input [ {{ name: "text" data_type: TYPE_STRING dims: [ -1 ] }} ]
output [ {{ name: "answer" data_type: TYPE_STRING dims: [ -1 ] }} ]
version_policy {{ specific {{ versions: 1 }} }}
ensemble_scheduling {{
  step [
    {{ model_name: "{name}_tokenize" model_version: 1
      input_map {{ key: "text" value: "text" }} output_map {{ key: "text" value: "tokens" }} }},
    {{ model_name: "{name}_encode" model_version: 1
      input_map {{ key: "text" value: "tokens" }} output_map {{ key: "text" value: "vectors" }} }},
    {{ model_name: "{name}_head" model_version: 1
      input_map {{ key: "text" value: "vectors" }} output_map {{ key: "text" value: "answer" }} }}
  ]
}}
"""


def write_toy(repository: Path, name: str = "toy", *, initialize: str = "pass") -> None:
    """Write the pipeline `name`; `initialize` is the statement that its encode step runs when it is loaded."""
    files = {}
    for step in STEPS:
        model = repository / f"{name}_{step}" / "1" / "model.py"
        model.parent.mkdir(parents=True)
        model.write_text(MODEL.format(initialize=initialize if step == "encode" else "pass"))
        (model.parents[1] / "config.pbtxt").write_text(STEP_CONFIG.format(name=f"{name}_{step}"))
        files[str(model.relative_to(repository))] = hashlib.sha256(model.read_bytes()).hexdigest()
    manifest = repository / name / "1" / "manifest.json"
    manifest.parent.mkdir(parents=True)
    manifest.write_text(toy_manifest(name, 1, files).to_json())
    info = PipelineInfo(
        name=name,
        version="1",
        task="feature-extraction",
        precision="fp32",
        engine="python",
        dimensions=1,
        max_length=16,
        max_texts_per_request=8,
        max_tokens_per_request=64,
        max_bytes_per_text=64,
        prompt_names=(),
        option_defaults={},
        certificate=hashlib.sha256(manifest.read_bytes()).hexdigest(),
    )
    parameters = "\n".join(
        f"parameters {{ key: {json.dumps(key)} value {{ string_value: {json.dumps(value)} }} }}"
        for key, value in info.to_parameters().items()
    )
    (repository / name / "config.pbtxt").write_text(ENSEMBLE_CONFIG.format(name=name) + parameters)
