"""From the source to the cleaned tables."""
