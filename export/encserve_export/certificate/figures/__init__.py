"""What is measured of answers, and how far they may be apart."""
