"""The engines that make tables: DuckDB and Spark."""
