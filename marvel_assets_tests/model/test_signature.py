"""What the signature lets through to a model, and what it refuses."""

from pathlib import Path

import mlflow
import numpy as np
import pandas as pd
import pytest
from mlflow.exceptions import MlflowException
from mlflow.pyfunc import PyFuncModel
from sklearn.pipeline import Pipeline

from marvel_assets.model.pipeline import TRUSTED_TYPES
from marvel_assets.model.signature import basic_signature, custom_signature, example_frame
from marvel_assets.survival.schema import MEASURES
from marvel_assets_tests.fitted_rows import FEATURE_NAMES


@pytest.fixture(scope="module")
def model(fitted: Pipeline, tmp_path_factory: pytest.TempPathFactory) -> PyFuncModel:
    folder = Path(tmp_path_factory.mktemp("signature") / "model")
    mlflow.sklearn.save_model(
        fitted, folder, serialization_format="skops", skops_trusted_types=list(TRUSTED_TYPES), pip_requirements=[],
        signature=basic_signature(FEATURE_NAMES),
    )  # fmt: skip
    return mlflow.pyfunc.load_model(str(folder))


@pytest.mark.parametrize(
    "sent",
    [
        {"Height": [np.nan, np.nan]},
        {"Height": [None, None]},
        {"Height": [2.0, 1.0]},
        {"Universe": [None, None]},
        {"Universe": [None, "Earth-616"]},
        {"Gender": [np.nan, "Male"]},
        {"Teams": [1, 0]},
        {"Teams": [1.0, 0.0]},
        {"Teams": pd.array([1, 0], dtype="int32")},
        {"Teams": [1.0, np.nan]},
        {"Height": np.array([1.85, 2], dtype="float32")},
        {"Origin": ["never seen", ""]},
        {"Name": ["a", "b"]},
    ],
    ids=str,
)
def test_what_real_callers_send_is_taken(model: PyFuncModel, sent: dict[str, object]):
    # when
    labels = model.predict(example_frame(FEATURE_NAMES).assign(**sent))

    # then
    assert len(labels) == 2
    assert set(labels) <= {0, 1}


def test_an_integer_flag_and_a_float_flag_are_the_same_flag(model: PyFuncModel):
    # given
    integers, floats = ({"Teams": [one, zero], "Magic": [one, zero]} for one, zero in ((1, 0), (1.0, 0.0)))

    # then
    example = example_frame(FEATURE_NAMES)
    assert list(model.predict(example.assign(**integers))) == list(model.predict(example.assign(**floats)))


@pytest.mark.parametrize(
    "sent",
    [
        {"Height": ["tall", "small"]},
        {"Universe": [616, 616]},
        # MLflow's own limits: whole numbers pass as a double only where they are 0 or 1, truth values never, and a
        # column of text in which nothing but NaN stands is a column of floats to it. Floats and None pass.
        {"Teams": [True, False]},
        {"Height": [2, 1]},
        {"Universe": [np.nan, np.nan]},
    ],
    ids=str,
)
def test_a_wrong_type_is_refused_with_the_column(model: PyFuncModel, sent: dict[str, object]):
    with pytest.raises(MlflowException, match=next(iter(sent))):
        model.predict(example_frame(FEATURE_NAMES).assign(**sent))


def test_the_example_has_every_feature():
    assert list(example_frame(FEATURE_NAMES).columns) == FEATURE_NAMES


def test_the_custom_model_answers_with_a_list_of_words():
    assert custom_signature(FEATURE_NAMES).outputs.to_dict() == [
        {"type": "array", "items": {"type": "string"}, "name": "Survival prediction", "required": True}
    ]


def test_a_single_character_of_whom_nothing_is_known_is_taken(model: PyFuncModel):
    # given
    nothing = {name: [np.nan if name in MEASURES else None] for name in FEATURE_NAMES}

    # then
    assert len(model.predict(pd.DataFrame(nothing))) == 1


def test_columns_may_come_in_another_order(model: PyFuncModel):
    # given
    example = example_frame(FEATURE_NAMES)

    # then
    assert list(model.predict(example[FEATURE_NAMES[::-1]])) == list(model.predict(example))


def test_the_signature_lists_the_features_in_their_order():
    assert basic_signature(FEATURE_NAMES).inputs.input_names() == FEATURE_NAMES
    assert custom_signature(FEATURE_NAMES).inputs == basic_signature(FEATURE_NAMES).inputs


def test_an_example_of_fewer_features_has_only_these():
    assert list(example_frame(["Origin", "Height"]).columns) == ["Origin", "Height"]
