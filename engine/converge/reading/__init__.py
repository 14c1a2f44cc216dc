"""How any file that a user wrote is read: YAML with positions, problems with spelling help; one of each for all rooms."""
