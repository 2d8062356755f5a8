"""The encode step of engine `python`: packed token ids in, what the network gives for each text out."""
