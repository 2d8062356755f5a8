"""What stands in bodies: fields by name and kind, texts, ids of tokens, words for prompts and for cutting, vectors."""
