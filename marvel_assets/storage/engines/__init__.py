"""The engines that write tables: DuckDB and Spark."""
