"""The live page: what the store knows, shown in a browser. Only reads, and contacts no host."""
