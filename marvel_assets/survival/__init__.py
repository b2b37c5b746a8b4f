"""The domain: cleaning, encoding, fitting, judging and wrapping. It knows neither Dagster nor a Spark session."""
