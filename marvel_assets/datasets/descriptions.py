"""Descriptions, types and lineage of the columns, for Dagster's pages."""

from marvel_assets.datasets.base import IDENTIFIER, SOURCE_ROW, WRITTEN_AT, Dataset
from marvel_assets.datasets.scoring import PREDICTION_COLUMNS

TYPES = dict.fromkeys((SOURCE_ROW, "model_version", "source_version"), "bigint") | {"probability": "double"}
TYPES |= dict.fromkeys((WRITTEN_AT, "scored_at_utc"), "timestamp")

TABLES = {
    "raw_characters": "The characters as delivered: every cell as text, one Delta version per distinct content.",
    "train_set": "Training set: 80 % of the cleaned rows, assigned by a hash of the id.",
    "test_set": "Test set: 20 % of the cleaned rows, assigned by a hash of the id.",
    "rejected_characters": "Rows that could not be used, as delivered, each with the column at fault and the reason.",
    "survival_predictions": "Batch predictions from the custom model at alias `latest-model`.",
}


def table_columns(dataset: Dataset, asset: str) -> dict[str, str]:
    """The columns of an asset that is a table, and what they mean."""
    zero, one = dataset.target.labels
    delivered = {stored: f"{name}, as delivered." for name, stored in dataset.source_columns.items()}
    raw = {SOURCE_ROW: "The row's number in the source, from 1.", **delivered}
    identified = {IDENTIFIER: f"{dataset.delivered_names[dataset.identifier]} of the source; unique."}
    identified |= {feature.name: feature.description for feature in dataset.features}
    written = {WRITTEN_AT: "When the row was written."}
    match asset:
        case "raw_characters":
            return raw
        case "rejected_characters":
            failed_on = "The column that the row failed on; the first in the order of the rules."
            reason = "What was found there, and what was expected."
            return {**raw, "rejected_column": failed_on, "reason": reason, **written}
        case "survival_predictions":
            answers = {"prediction": f"{one} or {zero}.", "probability": f"The model's probability of {one}."}
            return {**identified, **PREDICTION_COLUMNS, "display_name": delivered[dataset.display_name], **answers}
    return {**identified, dataset.target.name: f"1 {one}, 0 {zero}.", **written}


def column_types(dataset: Dataset) -> dict[str, str]:
    """Types of the columns that hold no text, in all tables but ``raw_characters``."""
    kinds = {"number": "double", "flag": "integer"}
    cleaned = {feature.name: kinds[feature.kind] for feature in dataset.features if feature.kind in kinds}
    return {**TYPES, **cleaned, dataset.target.name: "integer"}


def lineage(dataset: Dataset) -> dict[str, str]:
    """For each cleaned column, the column of ``raw_characters`` that it comes from."""
    sources = {feature.name: feature.source for feature in dataset.features}
    return {IDENTIFIER: dataset.identifier, **sources, dataset.target.name: dataset.target.source}
