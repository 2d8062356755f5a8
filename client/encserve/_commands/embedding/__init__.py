"""`encserve embed` and its kin: vectors of texts, of their tokens and of their parts."""
