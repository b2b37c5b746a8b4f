"""MLflow: its store, logged models, their files and cards."""
