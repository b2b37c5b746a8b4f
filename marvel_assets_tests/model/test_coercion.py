"""What callers send is read by the rules of the cleaned tables."""

from collections.abc import Callable

import pandas as pd
import pytest

from marvel_assets.config import ProjectConfig
from marvel_assets.model.coercion import FeatureCoercer
from marvel_assets.training.fit import pipeline_from_config
from marvel_assets_tests.fitted_rows import CATEGORICAL, FEATURE_NAMES

Change = Callable[[pd.DataFrame], pd.DataFrame]


@pytest.fixture
def coercer(way: ProjectConfig, sets: dict[str, pd.DataFrame]) -> FeatureCoercer:
    return pipeline_from_config(way, 1).named_steps["coerce"].fit(sets["train"][FEATURE_NAMES])


@pytest.fixture
def row(sets: dict[str, pd.DataFrame]) -> pd.DataFrame:
    return sets["test"][FEATURE_NAMES].head(1)


@pytest.mark.parametrize(
    ("column", "value", "read"),
    [("Gender", "Agender", "Other"), ("Gender", " FEMALE\u00a0", "Female"), ("Teams", True, 1)],
    ids=["a closed list's other value, where it counts as missing", "another spelling", "a truth value"],
)
def test_values_are_read_as_the_tables_have_them(
    coercer: FeatureCoercer, row: pd.DataFrame, column: str, value: object, read: object
):
    assert coercer.transform(row.assign(**{column: value}))[column].tolist() == [read]


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        (lambda row: row.assign(Identity="Public Enemy"), "Identity: 'Public Enemy' is not one of Public, Secret, "),
        (lambda row: row.assign(Origin="Human Mutate"), "Origin: 'Human Mutate' is not one of Human, Mutant, "),
        (lambda row: row.assign(Teams=2), "Teams: '2' is not one of 0, 1"),
        (lambda row: row.assign(Teams=0.5), "Teams: '0.5' is not one of 0, 1"),
        (lambda row: row.assign(Universe=[["Earth-616"]]), "Universe: expected text, found cells of another kind"),
        (lambda row: row.drop(columns=CATEGORICAL), f"{', '.join(CATEGORICAL)} is missing; expected Height "),
        (lambda row: row.join(row["Gender"].rename("again")).rename(columns={"again": "Gender"}), "Gender is there mo"),
    ],
    ids=["value", "other value", "flag", "fraction", "lists", "absent", "repeated"],
)
def test_other_values_and_columns_are_errors_that_name_them(
    coercer: FeatureCoercer, row: pd.DataFrame, change: Change, problem: str
):
    with pytest.raises(ValueError, match=f"^column {problem}"):
        coercer.transform(change(row))


def test_a_required_measure_may_not_be_absent(coercer: FeatureCoercer, row: pd.DataFrame):
    # given
    coercer.set_params(required=["Height"])

    # then
    coercer.transform(row.drop(columns="Weight"))
    with pytest.raises(ValueError, match=r"^column Height is missing; .* Weight \(optional\)"):
        coercer.transform(row.drop(columns="Height"))
