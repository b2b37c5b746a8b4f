"""From a logged model to a version under an alias."""

from collections.abc import Mapping
from types import MappingProxyType

import dagster as dg

from marvel_assets.assets.descriptions import OWNERS
from marvel_assets.config import Tags
from marvel_assets.references import LoggedModelRef, ModelVersionRef
from marvel_assets.resources.project import Project
from marvel_assets.resources.tracking import INSPECTION, PASSED, MlflowTracking
from marvel_assets.resources.unity_catalog.resource import UnityCatalog

GROUP = "registry"
BASIC_MODEL = "marvel_character_model_basic"
ALIAS = "latest-model"
READY_SECONDS = 60


@dg.asset(
    group_name=GROUP,
    kinds={"mlflow"},
    owners=OWNERS,
    code_version="1",
    io_manager_key="references",
)
def basic_model_version(
    context: dg.AssetExecutionContext,
    basic_model: LoggedModelRef,
    project: Project,
    tracking: MlflowTracking,
    unity_catalog: UnityCatalog,
) -> dg.MaterializeResult[ModelVersionRef]:
    """The basic model as a version in the catalog, under the alias latest-model. Only an inspected model gets here."""
    verdict = tracking.tags_of(basic_model).get(INSPECTION, "not inspected yet")
    if verdict != PASSED:
        raise dg.Failure(
            f"{basic_model.model_id} is not registered: {verdict}. Materialise basic_model; its checks inspect it.",
            allow_retries=False,
        )
    return register(context, basic_model, project.config.qualified(BASIC_MODEL), tracking, unity_catalog)


def register(
    context: dg.AssetExecutionContext,
    model: LoggedModelRef,
    name: str,
    tracking: MlflowTracking,
    unity_catalog: UnityCatalog,
    tags: Mapping[str, str] = MappingProxyType({}),
) -> dg.MaterializeResult[ModelVersionRef]:
    """Register a logged model, and point the alias at its version once that is READY.

    Safe to repeat: the same model makes no second version, and an alias that is right is left alone. A version that was
    made before gets the tags that it lacks.
    """
    catalog = unity_catalog.catalog()
    catalog.ensure_schema(*name.split(".")[:2])
    traces = {**Tags.collect(context.run_id).as_dict(), "model_id": model.model_id, "mlflow_run_id": model.run_id}
    registered = catalog.register(
        name, model.model_id, {**traces, **tags}, description=f"Logged model {model.model_id} of run {model.run_id}."
    )
    if not tags.items() <= registered.tags.items():
        catalog.set_tags(name, registered.version, tags)
    ready = catalog.wait_until_ready(name, registered.version, READY_SECONDS)
    current = catalog.version_under(name, ALIAS)
    is_new = current is None or current.version != ready.version
    if is_new:
        catalog.set_alias(name, ALIAS, ready.version)
    reference = ModelVersionRef(name, ready.version, model.model_id, ALIAS)
    context.log.info(f"{name} version {ready.version} is {ALIAS} ({'new' if is_new else 'unchanged'})")
    return dg.MaterializeResult(
        value=reference,
        data_version=dg.DataVersion(reference.data_version),
        metadata={
            "model": name,
            "version": ready.version,
            "alias": ALIAS,
            "status": ready.status,
            "model_id": model.model_id,
            "mlflow_version": dg.MetadataValue.url(tracking.version_url(name, ready.version)),
            "tags": dg.MetadataValue.json(dict(ready.tags)),
            "unchanged": not is_new,
        },
    )
