"""The engines that make tables. Each runs the same statements and writes the same Delta tables."""
