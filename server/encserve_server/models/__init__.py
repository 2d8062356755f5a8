"""The Python-backend models of a pipeline. The exporter copies these files, unchanged, into the model repository.

Triton imports `model.py` of a version folder as the module `<version>.model`, so imports among these files are
relative. They use numpy, tokenizers and onnxruntime alone; encserve need not be installed where they run.
"""
