"""A Dagster asset graph that predicts whether a Marvel character is alive."""
