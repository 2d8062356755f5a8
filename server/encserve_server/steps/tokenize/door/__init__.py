"""The door of a pipeline: it lets requests go on to the encode step, has them wait, or refuses them."""
