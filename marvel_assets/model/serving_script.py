"""The script that MLflow runs to load the custom model: code, and nothing pickled."""

from mlflow.models import set_model

from marvel_assets.model.wrapper import MarvelModelWrapper

set_model(MarvelModelWrapper())
