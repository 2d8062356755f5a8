"""What runs show: windows, the steps and the host meanwhile, what limited them; and the lines that tell of it."""
