"""The custom model, and its predictions."""
