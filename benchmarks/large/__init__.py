"""What an embedding decoder of 0.6 B parameters takes to be exported and served."""
