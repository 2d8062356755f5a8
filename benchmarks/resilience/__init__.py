"""What a server bears: floods, bulk beside single texts, processes that die."""
