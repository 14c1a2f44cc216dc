"""One host: walk through its plays, decide, perform, look again, and write down every step."""
