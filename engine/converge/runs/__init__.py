"""The application: what a check, an apply or an undo is made of; here the rooms are wired, and nothing is printed."""
