"""The model that answers, and what it says of every character."""
