"""The tokenize step: texts in, packed token ids out; and the door of the pipeline."""
