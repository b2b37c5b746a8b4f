"""The words in which the custom model answers. Other words make another custom version, and no other fit."""

OUTPUT_COLUMN = "Survival prediction"
"""The key of the custom model's answer."""

LABELS = ("dead", "alive")
"""The words for the classes 0 and 1."""
