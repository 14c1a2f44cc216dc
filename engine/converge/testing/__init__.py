"""Machines in memory, and faults to inject into them, for tests of kinds: no simulator of a wire, and no part of a run."""
