"""The door of a pipeline: who may go on to the encode step, who waits, and who is refused."""
