"""One folder a data set: its columns, its rules, and how the examples of the README are made."""
