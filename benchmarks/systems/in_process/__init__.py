"""Libraries that embed texts in the caller's own process, most of them in an environment of their own: nothing here
imports encserve."""
