"""What the pages of the two version assets show of the pair that is served."""

from typing import Any

import dagster as dg
from dagster._core.definitions.data_version import DATA_VERSION_TAG

from marvel_assets.registry.base import ModelVersion
from marvel_assets.registry.model_pairs import ALIAS, ModelPair
from marvel_assets.storage.io_managers import ReferenceIOManager
from marvel_assets.storage.references import ModelVersionRef
from marvel_assets.tracking.mlflow_resource import MlflowTracking


def version_metadata(version: ModelVersion, tracking: MlflowTracking) -> dict[str, dg.MetadataValue[Any] | str | int]:
    """What the page of a version's asset shows."""
    from marvel_assets.evaluation.model_card import with_full_links

    return {
        "model": version.name,
        "version": version.version,
        "status": version.status,
        "model_id": version.model_id,
        "mlflow_version": dg.MetadataValue.url(tracking.version_url(version.name, version.version)),
        "model_card": dg.MetadataValue.md(with_full_links(version.description, tracking.ui_url)),
        "tags": dg.MetadataValue.json(dict(version.tags)),
    }


def report_served(
    pair: ModelPair, message: str, tracking: MlflowTracking, references: ReferenceIOManager
) -> list[dg.AssetMaterialization]:
    """Hand the served pair on as both assets' output, so that pages, the summary and scoring follow it.

    Returns:
        The events to log.
    """
    events = []
    for asset, version in (("basic_model_version", pair.basic), ("custom_model_version", pair.custom)):
        key, reference = dg.AssetKey(asset), ModelVersionRef(version.name, version.version, version.model_id, ALIAS)
        references.store(key, reference)
        events.append(
            dg.AssetMaterialization(
                key,
                description=message,
                metadata={**version_metadata(version, tracking), "reason": message, "alias": ALIAS},
                tags={DATA_VERSION_TAG: reference.data_version},
            )
        )
    return events
