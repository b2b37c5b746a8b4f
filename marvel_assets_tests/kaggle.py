"""The Kaggle table, by the names that tests call its parts."""

import hashlib
from functools import partial

from marvel_assets.datasets import base, scoring, statements
from marvel_assets.datasets.marvel_kaggle import DATASET

SOURCE_COLUMNS = DATASET.source_columns
FEATURES = tuple(DATASET.by_name)
NUMERIC_FEATURES = DATASET.numeric_features
BINARY_FEATURES = tuple(feature.name for feature in DATASET.features if feature.kind == "flag")
CHARACTER_COLUMNS = ("Id", *FEATURES, DATASET.target.name, "update_timestamp_utc")
CATEGORY_LEVELS = {feature.name: feature.values for feature in DATASET.features if feature.values}
SOURCE_ROW = base.SOURCE_ROW
TEST_HASH_BOUND = base.TEST_HASH_BOUND
FILL_VALUES = DATASET.fill_values
EXAMPLE = {feature.name: list(feature.examples) for feature in DATASET.features}
TARGET = DATASET.target.name
OUTPUT_COLUMN = DATASET.target.answer
MISSING_TEXT = DATASET.missing_texts
REQUIRED_COLUMNS = scoring.required_columns(DATASET)
REJECTED_COLUMNS = ("source_row", *SOURCE_COLUMNS.values(), "rejected_column", "reason", "update_timestamp_utc")
CONTRACT_COLUMNS = ["Id", *FILL_VALUES, TARGET]
PREDICTION_COLUMNS = ("Id", *FEATURES, *scoring.PREDICTION_COLUMNS)

cleaning_sql = partial(statements.cleaning_sql, DATASET)
digested_source_sql = partial(statements.digested_source_sql, DATASET)
rejected_sql = partial(statements.rejected_sql, DATASET)
split_sql = partial(statements.split_sql, DATASET)
contract_violations = partial(statements.contract_violations, DATASET)


def split_of(identifier: str) -> str:
    """The table that an id belongs to, by the contract alone."""
    digest = hashlib.md5(identifier.encode()).hexdigest()
    return "test" if int(digest[:8], 16) < 0x33333333 else "train"
