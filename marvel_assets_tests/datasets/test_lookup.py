"""What a file to be scored must have."""

from dataclasses import replace

from marvel_assets.datasets.lookup import dataset_for_scoring
from marvel_assets.datasets.marvel_kaggle import DATASET


def test_a_file_to_score_has_the_columns_that_rules_use_also_where_no_feature_comes_from_them():
    # given: the rules name the height still
    without = replace(DATASET, features=tuple(each for each in DATASET.features if each.name != "Height"))

    # then
    assert list(dataset_for_scoring(without).source_columns) == [
        *("PageID", "Name", "Universe", "Identity", "Gender", "Marital Status", "Teams"),
        *("Height (m)", "Weight (kg)", "Origin"),
    ]
