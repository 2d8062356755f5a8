"""One request of Triton's as every step sees it: its options, its tensors, and the replies to it."""
