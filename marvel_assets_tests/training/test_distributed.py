"""A fit by several processes is that of one within sampling error, and gives a pipeline like any other."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import skops.io
from deltalake import write_deltalake
from sklearn.metrics import roc_auc_score
from sklearn.pipeline import Pipeline

from marvel_assets.evaluation.metrics import roc_auc_interval
from marvel_assets.model.coercion import FeatureCoercer
from marvel_assets.model.estimators import LightGBM
from marvel_assets.model.pipeline import TRUSTED_TYPES, build_pipeline, fit_pipeline
from marvel_assets.storage.table_scan import TableScan
from marvel_assets.training.dask_cluster import FitClient, dask_client
from marvel_assets.training.dataset import dataset_columns, rows_digest, sum_of_rows, to_frame
from marvel_assets.training.distributed import DistributedFit, fit_on_workers
from marvel_assets_tests.conftest import FEW_TREES
from marvel_assets_tests.fitted_rows import CATEGORICAL, FEATURE_NAMES
from marvel_assets_tests.kaggle import FILL_VALUES, TARGET

pytestmark = pytest.mark.integration

WORKERS = 2
MIN_FREQUENCY = 10


@pytest.fixture(scope="module")
def client() -> Iterator[FitClient]:
    with dask_client(WORKERS, scheduler=None, threads=1) as connected:
        yield connected


@pytest.fixture(scope="module")
def train_set(tmp_path_factory: pytest.TempPathFactory, sets: dict[str, pd.DataFrame]) -> TableScan:
    """The train rows as a Delta table. One universe is known to so few characters that no part has half of them."""
    folder = tmp_path_factory.mktemp("train_set")
    rows = sets["train"].assign(Id=[f"Character {place:05d}" for place in range(len(sets["train"]))])
    rows.loc[: MIN_FREQUENCY - 1, "Universe"] = "Earth-1"
    write_deltalake(folder, rows)
    return TableScan(folder, 0, tuple(dataset_columns(FEATURE_NAMES, TARGET)))


@pytest.fixture(scope="module")
def alone(train_set: TableScan) -> Pipeline:
    """Fitted in this process."""
    rows = to_frame(train_set.read(), FEATURE_NAMES, TARGET)
    return fit_pipeline(unfitted(), rows, FEATURE_NAMES, TARGET)


def unfitted() -> Pipeline:
    return build_pipeline(
        CATEGORICAL, LightGBM(**FEW_TREES), 1, min_frequency=MIN_FREQUENCY, coercer=FeatureCoercer(FILL_VALUES)
    )


def fit(client: FitClient, scan: TableScan) -> DistributedFit:
    return fit_on_workers(client, scan.parts(WORKERS), unfitted(), FEATURE_NAMES, TARGET)


@pytest.fixture(scope="module")
def together(client: FitClient, train_set: TableScan) -> DistributedFit:
    """Fitted by the workers."""
    return fit(client, train_set)


def test_the_encoder_is_the_one_that_a_single_process_fits(together: DistributedFit, alone: Pipeline):
    # when
    encoder = together.pipeline.named_steps["encode"]

    # then: and it knows the universe that neither worker saw often enough
    for step in ("coerce", "encode"):
        distributed, single = (vars(fitted.named_steps[step]) for fitted in (together.pipeline, alone))
        assert distributed | {"feature_names_in_": FEATURE_NAMES} == single | {"feature_names_in_": FEATURE_NAMES}
        assert list(distributed["feature_names_in_"]) == FEATURE_NAMES
    assert "Earth-1" in encoder.categories_["Universe"]
    assert encoder.infrequent_codes_["Universe"] > 0


def test_predictions_agree_with_those_of_a_single_process_within_sampling_error(
    together: DistributedFit, alone: Pipeline, sets: dict[str, pd.DataFrame]
):
    # when
    rows, alive = sets["test"][FEATURE_NAMES], sets["test"][TARGET].to_numpy()
    one, several = (pipeline.predict_proba(rows)[:, 1] for pipeline in (alone, together.pipeline))

    # then
    within = roc_auc_interval(alive, one, 0.68)  # a standard error to either side
    assert within.low < roc_auc_score(alive, several) < within.high
    assert np.corrcoef(one, several)[0, 1] > 0.98


def test_all_rows_are_fitted_and_their_digest_is_that_of_the_rows_read_at_once(
    together: DistributedFit, train_set: TableScan
):
    # when
    rows = to_frame(train_set.read(), FEATURE_NAMES, TARGET)

    # then
    assert together.rows == len(rows)
    assert together.rows_digest == rows_digest([sum_of_rows(rows)])
    root = together.pipeline.named_steps["classify"].booster_.dump_model()["tree_info"][0]["tree_structure"]
    assert root["internal_count"] == len(rows)


def test_a_second_fit_is_the_same_bit_for_bit(client: FitClient, together: DistributedFit, train_set: TableScan):
    assert model_text(fit(client, train_set).pipeline) == model_text(together.pipeline)


def test_the_pipeline_is_stored_like_any_other_without_anything_of_the_workers(
    together: DistributedFit, alone: Pipeline, sets: dict[str, pd.DataFrame]
):
    # when
    stored = skops.io.dumps(together.pipeline)
    back = skops.io.loads(stored, trusted=list(TRUSTED_TYPES))

    # then
    rows, classifier = sets["test"][FEATURE_NAMES], together.pipeline[-1]
    np.testing.assert_array_equal(back.predict_proba(rows), together.pipeline.predict_proba(rows))
    assert classifier.get_params() == alone[-1].get_params()
    assert not {"machines", "num_machines", "local_listen_port", "client"} & vars(classifier).keys()
    assert "127.0.0.1" not in model_text(together.pipeline)
    assert classifier.booster_.feature_name() == FEATURE_NAMES


@pytest.mark.parametrize(
    ("condition", "found"),
    [
        (f"{TARGET} = 1", r"the part of worker 1 of 2 has [0-9,]+ rows with Alive in \[1\]"),
        (f"{TARGET} = 1 OR md5(concat('part', Id)) < '80000000'", r"the part of worker 2 .* with Alive in \[1\]"),
        ("Id = 'nobody'", r"the part of worker 1 of 2 has 0 rows with Alive in \[\]"),
    ],
    ids=["one class", "one class in one part", "no rows"],
)
def test_a_part_that_lacks_a_class_is_refused_before_the_fit(
    client: FitClient, train_set: TableScan, condition: str, found: str
):
    # given: a worker that saw the living alone would number them as the first class
    scan = TableScan(train_set.location, 0, train_set.columns, condition=f"({condition})")

    # then
    with pytest.raises(ValueError, match=f"column Alive: each worker needs .*{found}.* Fit with fewer workers"):
        fit(client, scan)


def test_a_table_that_is_gone_is_named_by_the_worker_that_looked_for_it(client: FitClient, tmp_path: Path):
    with pytest.raises(LookupError, match=rf"{tmp_path / 'gone'} has no readable version 0"):
        fit(client, TableScan(tmp_path / "gone", 0, tuple(dataset_columns(FEATURE_NAMES, TARGET))))


def model_text(pipeline: Pipeline) -> str:
    return str(pipeline.named_steps["classify"].booster_.model_to_string())
