"""Drift of what is scored, and alerts."""
