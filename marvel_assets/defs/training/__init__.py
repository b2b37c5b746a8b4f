"""From the cleaned rows to a logged model."""
