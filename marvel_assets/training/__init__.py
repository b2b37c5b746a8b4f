"""From rows to a fitted pipeline."""
