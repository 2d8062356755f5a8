"""A checkpoint that takes the likeliest token each time, unless something else is said of it."""

from encserve_export.generation.defaults import GenerationDefaults


def greedy(**said):
    """Its defaults."""
    plain = {
        "start_token": 0,
        "end_tokens": (1,),
        "max_new_tokens": 20,
        "min_new_tokens": 0,
        "do_sample": False,
        "temperature": 1.0,
        "top_k": 0,
        "top_p": 1.0,
        "prompts": {},
    }
    return GenerationDefaults(**plain | said)
