"""Deciding what to do, from answers alone: gathering them in few rounds, comparing, choosing actions."""
