"""Language models as rerankers: the score out of the logits of a word or two, and the template around a pair."""
