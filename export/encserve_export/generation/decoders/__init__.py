"""The decoders of the families that generate, as one network: what differs between them is in the table here."""
