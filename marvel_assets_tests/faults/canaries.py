"""A canary in the place of every secret, and the search for them in all that a run and its pages leave and show."""

import base64

from marvel_assets.paths import ProjectPaths

CANARY = "canary-5f1e"
SECRETS = {
    name: f"{CANARY}-{name.lower()}"
    for name in (
        "MLFLOW_TRACKING_PASSWORD",
        "MLFLOW_TRACKING_TOKEN",
        "MLFLOW_UC_OSS_TOKEN",
        "DATABRICKS_TOKEN",
        "DATABRICKS_CLIENT_SECRET",
        "KAGGLE_USERNAME",
        "KAGGLE_KEY",
        "KAGGLE_API_TOKEN",
        "SPARK_CONNECT_AUTHENTICATE_TOKEN",
        "AWS_SECRET_ACCESS_KEY",
    )
} | {
    "MARVEL_WEBHOOK_URL": f"http://127.0.0.1:9/services/{CANARY}-webhook",
    # Not searched for: MLflow tags each run with it as the one who ran it.
    "MLFLOW_TRACKING_USERNAME": "somebody",
}
BASIC = base64.b64encode(f"{SECRETS['MLFLOW_TRACKING_USERNAME']}:{SECRETS['MLFLOW_TRACKING_PASSWORD']}".encode())
LOOKED_FOR = (CANARY.encode(), BASIC)
"""Basic authentication is the name and the password in another alphabet."""

EVERYTHING_THAT_IS_SHOWN = """
    query($repository: RepositorySelector!) {
        allTopLevelResourceDetailsOrError(repositorySelector: $repository) {
            ... on ResourceDetailsList {
                results { name configFields { name description } configuredValues { key value } }
            }
        }
        repositoryOrError(repositorySelector: $repository) {
            ... on Repository { displayMetadata { key value } }
        }
        utilizedEnvVarsOrError(repositorySelector: $repository) {
            ... on EnvVarWithConsumersList { results { envVarName } }
        }
        instance { info }
        runsOrError {
            ... on Runs { results {
                runId runConfigYaml tags { key value }
                eventConnection(limit: 1000) { events {
                    ... on MessageEvent { message }
                    ... on ExecutionStepFailureEvent { error { message stack causes { message stack } } }
                } }
            } }
        }
    }
"""


def places_of_secrets(home: ProjectPaths, *printed: str) -> list[str]:
    """Where a secret has come to, among what is printed and all that the home holds."""
    found = ["what is printed"] if holds_one("".join(printed).encode()) else []
    files = [file for file in home.root.rglob("*") if file.is_file() and holds_one(file.read_bytes())]
    return found + [str(file.relative_to(home.root)) for file in files]


def holds_one(content: bytes) -> bool:
    return any(secret in content for secret in LOOKED_FOR)
