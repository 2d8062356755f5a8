"""The packed network around the encoder, and the ONNX file that it is traced to."""
