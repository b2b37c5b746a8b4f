"""Where the raw characters come from: a file, a URL, Kaggle, or the built-in generator."""
