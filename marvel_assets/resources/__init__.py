"""What assets reach the world through: engines, tables, MLflow, the model catalog, Spark."""
