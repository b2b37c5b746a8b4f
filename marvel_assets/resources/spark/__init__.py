"""The Spark session: local, on a Spark Connect server, or on Databricks."""
