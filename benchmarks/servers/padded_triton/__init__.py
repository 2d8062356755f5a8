"""A Triton model repository as tutorials write one: a tokenizer step that pads, an encoder with dynamic batching."""
