"""Jobs that a person or a schedule starts by name."""

import dagster as dg

from marvel_assets.assets.registry import ALIAS
from marvel_assets.assets.serving import CUSTOM_MODEL
from marvel_assets.automation.promotion import (
    PROMOTED_FROM,
    PromoteConfig,
    next_environment,
    pair_to_promote,
    promote_version,
)
from marvel_assets.config import ProjectConfig
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
    example = example_frame(project.config.features)
    answer = predict_in_clean_environment(uri, example, unity_catalog.tracking_uri, unity_catalog.registry_uri)
    context.log.info(f"{uri} answers {answer}")
    context.add_output_metadata({"model": uri, "answer": dg.MetadataValue.json(answer)})


@dg.job(description="Predict with the custom model in a clean environment made from its own requirements.")
def verify_scoring_environment() -> None:
    """On demand: making the environment takes a minute."""
    predict_from_its_own_requirements()


@dg.op
def promote_pair(
    context: dg.OpExecutionContext, config: PromoteConfig, project: Project, unity_catalog: UnityCatalog
) -> None:
    """Copy both versions first, and move both aliases when both are READY."""
    source = project.config
    target = ProjectConfig.from_yaml(project.config_path, config.to or next_environment(source.environment))
    catalog = unity_catalog.catalog()
    promoted = []
    for version in pair_to_promote(catalog, source, config.basic_version):
        name = target.qualified(version.name.rpartition(".")[2])
        promoted.append(promote_version(catalog, version, name, promoted_by=context.run_id))
    for copy in promoted:
        catalog.set_alias(copy.name, ALIAS, copy.version)
        context.log.info(f"{copy.name} version {copy.version} is {ALIAS}, from {copy.tags[PROMOTED_FROM]}")
    context.add_output_metadata({copy.name: copy.version for copy in promoted})


@dg.job(description="Copy the pair of versions, with tags and lineage, to the next environment's catalog.")
def promote() -> None:
    """From dev to acc, or from acc to prd."""
    promote_pair()
