"""Jobs that a person or a schedule starts by name."""

import dagster as dg

from marvel_assets.assets.registry import ALIAS
from marvel_assets.assets.serving import CUSTOM_MODEL
from marvel_assets.resources.clean_environment import predict_in_clean_environment
from marvel_assets.resources.project import Project
from marvel_assets.resources.unity_catalog.resource import UnityCatalog

retrain = dg.define_asset_job(
    "retrain",
    selection=dg.AssetSelection.all(),
    description="Bring every asset up to date, from the source to the custom model. What is unchanged is handed on.",
)


@dg.op
def predict_from_its_own_requirements(
    context: dg.OpExecutionContext, project: Project, unity_catalog: UnityCatalog
) -> None:
    """Install the custom model's requirements into a new environment, and let it predict there."""
    from marvel_assets.survival.signature import example_frame

    name = project.config.qualified(CUSTOM_MODEL)
    version = unity_catalog.catalog().version_under(name, ALIAS)
    if version is None:
        raise dg.Failure(f"{name} has no version under {ALIAS}; materialise custom_model_version first.")
    uri = f"models:/{name}/{version.version}"
    context.log.info(f"Making an environment of what {uri} requires")
    answer = predict_in_clean_environment(uri, example_frame(project.config.features), unity_catalog.registry_uri)
    context.log.info(f"{uri} answers {answer}")
    context.add_output_metadata({"model": uri, "answer": dg.MetadataValue.json(answer)})


@dg.job(description="Predict with the custom model in a clean environment made from its own requirements.")
def verify_scoring_environment() -> None:
    """On demand: making the environment takes a minute."""
    predict_from_its_own_requirements()
