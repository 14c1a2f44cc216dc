"""Check mode: a machine that asks the real host and acts in memory."""
