"""A padded graph and its tokenizer as OpenVINO's pipeline reads them.

python convert_openvino_genai.py CHECKPOINT TARGET GRAPH.onnx fp32|int8
"""

import shutil
import sys
from pathlib import Path

import nncf
import openvino
from openvino_tokenizers import convert_tokenizer
from transformers import AutoTokenizer

if __name__ == "__main__":
    checkpoint, target = map(Path, sys.argv[1:3])
    graph, precision = sys.argv[3:]
    model = openvino.convert_model(graph)
    if precision == "int8":
        model = nncf.compress_weights(model, mode=nncf.CompressWeightsMode.INT8_SYM)
    openvino.save_model(model, target / "openvino_model.xml", compress_to_fp16=False)
    tokenizer = AutoTokenizer.from_pretrained(str(checkpoint))
    openvino.save_model(convert_tokenizer(tokenizer), target / "openvino_tokenizer.xml")
    for file in checkpoint.glob("*.json"):
        shutil.copyfile(file, target / file.name)
