"""One text that is made: how its tokens are chosen, by beams too, and the pieces that they become."""
