"""Commands, options and exit codes; the only place where the rooms are wired together."""
