"""Frozen values and protocols that every room speaks: queries, answers, actions, resources, changes, plays, journals."""
