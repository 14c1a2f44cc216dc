"""When: change windows, cadence, and the enforcing daemon with its metrics."""
