"""The tokenizers of Marian and M2M100, for which transformers has no fast form: pieces of SentencePiece, each looked up
in a list of the checkpoint."""
