"""What is remembered between runs: the journal of every host in every run."""
