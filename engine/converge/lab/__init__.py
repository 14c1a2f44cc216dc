"""A Windows in memory: its state, how it behaves, the images it starts from, and the ways in."""
