"""One folder per data set: its columns, its cleaning rules and, if it has one, its generator."""
