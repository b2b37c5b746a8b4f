"""What a model takes behind its signature, and what it refuses."""

from pathlib import Path

import mlflow
import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from mlflow.pyfunc import PyFuncModel
from sklearn.pipeline import Pipeline

from marvel_assets.datasets.marvel_kaggle import DATASET
from marvel_assets.model.pipeline import TRUSTED_TYPES
from marvel_assets.tracking.signature import basic_signature, custom_signature, example_frame
from marvel_assets_tests.fitted_rows import FEATURE_NAMES
from marvel_assets_tests.kaggle import BINARY_FEATURES, EXAMPLE, FILL_VALUES, NUMERIC_FEATURES, OUTPUT_COLUMN


@pytest.fixture(scope="module")
def model(fitted: Pipeline, tmp_path_factory: pytest.TempPathFactory) -> PyFuncModel:
    folder = Path(tmp_path_factory.mktemp("signature") / "model")
    mlflow.sklearn.save_model(
        fitted, folder, serialization_format="skops", skops_trusted_types=list(TRUSTED_TYPES), pip_requirements=[],
        signature=basic_signature(FEATURE_NAMES, "Alive"),
    )  # fmt: skip
    return mlflow.pyfunc.load_model(str(folder))


@pytest.mark.parametrize(
    "sent",
    [
        {"Height": ["tall", "small"]},
        {"Height": ["1.85", "1.9"]},
        {"Height": [1 + 2j, 0]},
        {"Height": pd.to_datetime(["2020-01-01", "2021-01-01"])},
        {"Teams": ["1", "0"]},
        {"Universe": [616, 616]},
        {"Universe": [True, False]},
        {"Gender": [["Male"], {"a": 1}]},
        {"Gender": [b"Male", b"Female"]},
    ],
    ids=str,
)
def test_what_means_nothing_is_refused_with_the_column(model: PyFuncModel, sent: dict[str, object]):
    with pytest.raises(ValueError, match=f"^column {next(iter(sent))}: expected (a number|text), found "):
        model.predict(example_frame(DATASET, FEATURE_NAMES).assign(**sent))


ARROW_NUMBERS = [pd.ArrowDtype(number) for number in (pa.int64(), pa.float64(), pa.decimal128(9, 2))]
NULLABLE_NUMBERS = ["float64", "object", "Int64", "Float64", "category", "Sparse[float64]", *ARROW_NUMBERS]
NUMBERS = [*NULLABLE_NUMBERS, "int8", "uint16", "int64", "float32", "Sparse[int64]"]
NULLABLE_FLAGS = [*NULLABLE_NUMBERS, "boolean", pd.ArrowDtype(pa.bool_())]
FLAG_TYPES = [*NUMBERS, *NULLABLE_FLAGS, "bool"]
ARROW_TEXTS = [pd.ArrowDtype(text) for text in (pa.string(), pa.large_string())]
TEXTS = ["object", "string", "string[pyarrow]", "category", *ARROW_TEXTS]


@st.composite
def columns(draw: st.DrawFn, name: str) -> pd.Series:
    """The cells of two characters, missing or not, in one of the types that can hold them."""
    is_missing = draw(st.booleans())
    if name in NUMERIC_FEATURES:
        value, types = draw(st.sampled_from([1, 2, 90])), NULLABLE_NUMBERS if is_missing else NUMBERS
    elif name in BINARY_FEATURES:
        value, types = draw(st.sampled_from([0, 1])), NULLABLE_FLAGS if is_missing else FLAG_TYPES
    else:
        value, types = EXAMPLE[name][0], TEXTS
    return pd.Series([value, None if is_missing else value], dtype=draw(st.sampled_from(types)))


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(sent=st.fixed_dictionaries({name: columns(name) for name in FEATURE_NAMES}))
def test_a_character_gets_one_answer_whatever_types_it_comes_in(
    model: PyFuncModel, fitted: Pipeline, sent: dict[str, pd.Series]
):
    # given: the same cells in the types of the training rows
    numbers = (*NUMERIC_FEATURES, *BINARY_FEATURES)
    plain = pd.DataFrame(
        {
            name: [(float(cell) if name in numbers else cell) if pd.notna(cell) else None for cell in column]
            for name, column in sent.items()
        }
    ).astype(dict.fromkeys(numbers, "float64"))

    # then
    assert list(model.predict(pd.DataFrame(sent))) == list(fitted.predict(plain))
    assert list(fitted.predict(pd.DataFrame(sent))) == list(fitted.predict(plain))


def test_a_missing_cell_is_what_the_cleaning_makes_of_it(model: PyFuncModel, sets: dict[str, pd.DataFrame]):
    # given
    rows = sets["test"][FEATURE_NAMES].head(200).astype(object)

    # then
    for name, value in FILL_VALUES.items():
        missing, filled = rows.assign(**{name: None}), rows.assign(**{name: value})
        assert list(model.predict(missing)) == list(model.predict(filled))


def test_both_models_take_the_features_in_their_order_and_the_custom_one_answers_with_a_list_of_words():
    # given
    basic, custom = basic_signature(FEATURE_NAMES, "Alive"), custom_signature(FEATURE_NAMES, OUTPUT_COLUMN)

    # then
    assert basic.inputs.input_names() == FEATURE_NAMES
    assert custom.inputs == basic.inputs
    assert custom.outputs.to_dict() == [
        {"type": "array", "items": {"type": "string"}, "name": "Survival prediction", "required": True}
    ]
