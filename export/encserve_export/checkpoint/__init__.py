"""Reading a Hugging Face checkpoint: the network, the tokenizer, the task, and what its files say of their use."""
