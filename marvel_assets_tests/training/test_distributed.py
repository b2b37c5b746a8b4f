"""A fit by several processes is that of one within sampling error, and gives a pipeline like any other."""

from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import skops.io
from deltalake import write_deltalake
from sklearn.metrics import roc_auc_score
from sklearn.pipeline import Pipeline

from marvel_assets.config import ProjectConfig
from marvel_assets.evaluation.metrics import roc_auc_interval
from marvel_assets.model.pipeline import TRUSTED_TYPES
from marvel_assets.storage.table_scan import TableScan
from marvel_assets.training.dask_cluster import FitClient, dask_client
from marvel_assets.training.dataset import dataset_columns, rows_digest, sum_of_rows, to_frame
from marvel_assets.training.distributed import fit_on_workers
from marvel_assets.training.fit import fit_from_config, pipeline_from_config
from marvel_assets_tests.fitted_rows import FEATURE_NAMES
from marvel_assets_tests.kaggle import TARGET

pytestmark = pytest.mark.integration

Fit = tuple[Pipeline, int, str]
"""A pipeline, and the number and the digest of the rows that it was fitted on."""
Fitter = Callable[[TableScan], Fit]

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
def config(way: ProjectConfig) -> ProjectConfig:
    return way.model_copy(update={"min_frequency": MIN_FREQUENCY})


@pytest.fixture(scope="module")
def alone(config: ProjectConfig, train_set: TableScan) -> Pipeline:
    """Fitted in this process."""
    return fit_from_config(config, to_frame(train_set.read(), FEATURE_NAMES, TARGET), 1)


@pytest.fixture(scope="module")
def fit(config: ProjectConfig, client: FitClient) -> Fitter:
    """Fits a pipeline on the workers."""
    return lambda scan: fit_on_workers(
        client, scan.parts(WORKERS), pipeline_from_config(config, 1), FEATURE_NAMES, TARGET
    )


@pytest.fixture(scope="module")
def fitted_together(fit: Fitter, train_set: TableScan) -> Fit:
    return fit(train_set)


@pytest.fixture
def together(fitted_together: Fit) -> Pipeline:
    """Fitted by the workers."""
    return fitted_together[0]


def test_the_encoder_is_the_one_that_a_single_process_fits(together: Pipeline, alone: Pipeline):
    # when
    encoder = together.named_steps["encode"]

    # then: and it knows the universe that neither worker saw often enough
    for step in ("coerce", "encode"):
        distributed, single = (vars(fitted.named_steps[step]) for fitted in (together, alone))
        assert distributed | {"feature_names_in_": FEATURE_NAMES} == single | {"feature_names_in_": FEATURE_NAMES}
        assert list(distributed["feature_names_in_"]) == FEATURE_NAMES
    assert "Earth-1" in encoder.categories_["Universe"]
    assert encoder.infrequent_codes_["Universe"] > 0


def test_predictions_agree_with_those_of_a_single_process_within_sampling_error(
    together: Pipeline, alone: Pipeline, sets: dict[str, pd.DataFrame]
):
    # when
    rows, alive = sets["test"][FEATURE_NAMES], sets["test"][TARGET].to_numpy()
    one, several = (pipeline.predict_proba(rows)[:, 1] for pipeline in (alone, together))

    # then
    within = roc_auc_interval(alive, one, 0.68)  # a standard error to either side
    assert within.low < roc_auc_score(alive, several) < within.high
    assert np.corrcoef(one, several)[0, 1] > 0.98


def test_all_rows_are_fitted_and_their_digest_is_that_of_the_rows_read_at_once(
    fitted_together: Fit, train_set: TableScan
):
    # when
    rows, (pipeline, number, digest) = to_frame(train_set.read(), FEATURE_NAMES, TARGET), fitted_together

    # then
    assert number == len(rows)
    assert digest == rows_digest([sum_of_rows(rows)])
    root = pipeline.named_steps["classify"].booster_.dump_model()["tree_info"][0]["tree_structure"]
    assert root["internal_count"] == len(rows)


def test_a_second_fit_is_the_same_bit_for_bit(fit: Fitter, together: Pipeline, train_set: TableScan):
    assert model_text(fit(train_set)[0]) == model_text(together)


def test_the_pipeline_is_stored_like_any_other_without_anything_of_the_workers(
    together: Pipeline, alone: Pipeline, sets: dict[str, pd.DataFrame]
):
    # when
    stored = skops.io.dumps(together)
    back = skops.io.loads(stored, trusted=list(TRUSTED_TYPES))

    # then
    rows, classifier = sets["test"][FEATURE_NAMES], together[-1]
    np.testing.assert_array_equal(back.predict_proba(rows), together.predict_proba(rows))
    assert classifier.get_params() == alone[-1].get_params()
    assert not {"machines", "num_machines", "local_listen_port", "client"} & vars(classifier).keys()
    assert "127.0.0.1" not in model_text(together)
    assert classifier.booster_.feature_name() == FEATURE_NAMES


@pytest.mark.parametrize(
    ("condition", "found"),
    [
        (f"{TARGET} = 1", r"the [0-9,]+ rows of worker 1 have \[1\]"),
        (f"{TARGET} = 1 OR md5(concat('part', Id)) < '80000000'", r"rows of worker 2 have \[1\]"),
        ("Id = 'nobody'", r"the 0 rows of worker 1 have \[\]"),
    ],
    ids=["one class", "one class in one part", "no rows"],
)
def test_a_part_that_lacks_a_class_is_refused_before_the_fit(
    fit: Fitter, train_set: TableScan, condition: str, found: str
):
    # given: a worker that saw the living alone would number them as the first class
    scan = TableScan(train_set.location, 0, train_set.columns, condition=f"({condition})")

    # then
    with pytest.raises(ValueError, match=f"column Alive: each worker needs .*{found}.* Fit with fewer workers"):
        fit(scan)


def test_a_table_that_is_gone_is_named_by_the_worker_that_looked_for_it(fit: Fitter, tmp_path: Path):
    with pytest.raises(LookupError, match=rf"{tmp_path / 'gone'} has no readable version 0"):
        fit(TableScan(tmp_path / "gone", 0, tuple(dataset_columns(FEATURE_NAMES, TARGET))))


def model_text(pipeline: Pipeline) -> str:
    return str(pipeline.named_steps["classify"].booster_.model_to_string())
