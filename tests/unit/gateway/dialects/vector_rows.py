"""The vectors of an answer in OpenAI's way."""

import numpy as np


def rows(answered):
    return np.array([item["embedding"] for item in answered.json["data"]], np.float32)
