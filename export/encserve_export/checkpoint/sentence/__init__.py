"""What the files of sentence-transformers say: modules behind the network, prompts, lengths, trained dimensions."""
