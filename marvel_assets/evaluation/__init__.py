"""Metrics, the gate, drift and plots."""
