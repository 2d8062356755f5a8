"""The Python-backend models of a pipeline, each step in a room of its own, and the rooms that they share.

The exporter copies what a step needs into the version folder of a model repository, unchanged and in the same rooms;
`tokenize_model`, `encode_model` and `head_model` become the `model.py` there. Triton imports that file as the module
`<version>.model`, so imports among these files are relative, and a room can never be taken for an installed package.
They use numpy, tokenizers, and onnxruntime or openvino alone; encserve need not be installed where they run.
"""
