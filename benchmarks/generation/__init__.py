"""Texts to text: encserve over gRPC beside transformers, CTranslate2, and optimum in ONNX Runtime and OpenVINO."""
