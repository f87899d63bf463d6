"""Verify a foreign implementation: whether it is right, within derived bounds, and if not, what is wrong with it."""
