"""Jobs that a person or a schedule starts by name."""

import dagster as dg

retrain = dg.define_asset_job(
    "retrain",
    selection=dg.AssetSelection.all(),
    description="Bring every asset up to date, from the source to the custom model. What is unchanged is handed on.",
)
