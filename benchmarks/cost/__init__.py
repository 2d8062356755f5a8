"""What one part costs: processor time, memory, and time by part."""
