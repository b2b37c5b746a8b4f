"""Metrics, the gate, drift, plots and the model card."""
