"""The run side by side: its systems, the processes that hold them, what came out, and the figures that are asked."""
