"""MLflow: its store, logged models and their files."""
