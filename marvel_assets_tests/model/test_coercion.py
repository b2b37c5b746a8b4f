"""What callers send is read by the rules of the cleaned tables."""

import pandas as pd
import pytest

from marvel_assets.config import ProjectConfig
from marvel_assets.model.coercion import FeatureCoercer
from marvel_assets.training.fit import pipeline_from_config
from marvel_assets_tests.fitted_rows import FEATURE_NAMES


@pytest.fixture
def coercer(way: ProjectConfig, sets: dict[str, pd.DataFrame]) -> FeatureCoercer:
    first: FeatureCoercer = pipeline_from_config(way, 1).named_steps["coerce"]
    return first.fit(sets["train"][FEATURE_NAMES])


@pytest.fixture
def row(sets: dict[str, pd.DataFrame]) -> pd.DataFrame:
    return sets["test"][FEATURE_NAMES].head(1)


def test_another_value_of_a_closed_list_counts_as_missing_where_the_tables_have_it_so(
    coercer: FeatureCoercer, row: pd.DataFrame
):
    assert coercer.transform(row.assign(Gender="Agender"))["Gender"].tolist() == ["Other"]


@pytest.mark.parametrize(
    ("column", "value", "known"),
    [
        ("Identity", "Known to Authorities", "Public, Secret, Unknown"),
        ("Origin", "Human Mutate", "Human, Mutant, "),
        ("Teams", 2, "0, 1"),
        ("Teams", 0.5, "0, 1"),
    ],
)
def test_other_values_are_errors_that_name_column_and_values(
    coercer: FeatureCoercer, row: pd.DataFrame, column: str, value: object, known: str
):
    with pytest.raises(ValueError, match=rf"^column {column}: '{value}(\.0)?' is not one of {known}"):
        coercer.transform(row.assign(**{column: value}))


def test_a_truth_value_is_the_number_that_it_equals(coercer: FeatureCoercer, row: pd.DataFrame):
    assert coercer.transform(row.assign(Teams=True))["Teams"].tolist() == [1]
