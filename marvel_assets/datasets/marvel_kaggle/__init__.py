"""Kaggle's table of Marvel characters."""
