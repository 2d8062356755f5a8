"""Reads texts as the tokenizers of Marian and M2M100 do: by the pieces of SentencePiece, each looked up in a list."""
