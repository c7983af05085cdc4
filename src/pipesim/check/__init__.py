"""Checks: what a change of inputs costs, against a baseline, and whether it may pass."""
