"""The Spark session: local, Spark Connect, Databricks."""
