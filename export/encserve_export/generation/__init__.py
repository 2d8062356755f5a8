"""From a checkpoint with an encoder and a decoder to a certified pipeline that generates."""
