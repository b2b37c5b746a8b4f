"""A canary instead of every secret, and the search for them in all that a run and its pages leave and show."""

import base64

from marvel_assets.paths import ProjectPaths

CANARY = "canary-5f1e"
SECRETS = {
    name: f"{CANARY}-{name.lower()}"
    for name in (
        *("MLFLOW_TRACKING_PASSWORD", "MLFLOW_TRACKING_TOKEN", "MLFLOW_UC_OSS_TOKEN"),
        *("DATABRICKS_TOKEN", "DATABRICKS_CLIENT_SECRET", "SPARK_CONNECT_AUTHENTICATE_TOKEN"),
        *("KAGGLE_USERNAME", "KAGGLE_KEY", "KAGGLE_API_TOKEN", "AWS_SECRET_ACCESS_KEY"),
    )
} | {
    "MARVEL_WEBHOOK_URL": f"http://127.0.0.1:9/services/{CANARY}-webhook",
    "MLFLOW_TRACKING_USERNAME": "a user",  # not searched for: MLflow tags each run with it
}
BASIC = base64.b64encode(f"{SECRETS['MLFLOW_TRACKING_USERNAME']}:{SECRETS['MLFLOW_TRACKING_PASSWORD']}".encode())
"""The name and the password as basic authentication encodes them."""


def has_canary(content: bytes) -> bool:
    return CANARY.encode() in content or BASIC in content


def places_of_secrets(home: ProjectPaths, *printed: str) -> list[str]:
    """Where secrets are, in the printed texts and in all files of the home."""
    found = ["what is printed"] if has_canary("".join(printed).encode()) else []
    files = [file for file in home.root.rglob("*") if file.is_file() and has_canary(file.read_bytes())]
    return found + [str(file.relative_to(home.root)) for file in files]
