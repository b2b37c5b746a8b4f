"""What is looked at after a model is served."""
