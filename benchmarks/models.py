"""Encoding and predicting, over the least that the same answers can be had for."""

from __future__ import annotations

import tempfile
import time
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from benchmarks.characters import MILLION, training_rows
from benchmarks.graph import MARVEL_RUN, ROWS, fresh_home
from benchmarks.measuring import Comparison, compare, in_a_child, timed
from marvel_assets.model.encoder import CatToIntTransformer

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

CATEGORICAL_COLUMNS = 8
TO_PREDICT = 100_000
ONE_ROW_CALLS = 500
PERCENTILE = 99


def encoding() -> Iterator[str]:
    """1,000,000 x 8 texts to integers, against pandas with the categories given, and against a dictionary a cell."""
    random = np.random.default_rng(616)
    values = [f"value {number}" for number in range(20)]
    frame = pd.DataFrame({f"c{i}": random.choice(values, MILLION).astype(object) for i in range(CATEGORICAL_COLUMNS)})
    encoder = CatToIntTransformer().fit(frame)

    def pandas_codes() -> None:
        for name, categories in encoder.categories_.items():
            _ = pd.Categorical(frame[name], categories=categories).codes

    def a_dictionary_a_cell() -> None:
        for name, categories in encoder.categories_.items():
            code_of = {value: code for code, value in enumerate(categories)}
            _ = frame[name].map(lambda value, code_of=code_of: code_of.get(value, -1))  # type: ignore[misc]

    shape = f"{MILLION:,} x {CATEGORICAL_COLUMNS}"
    ours = timed(lambda: encoder.transform(frame))
    yield compare(ours, timed(pandas_codes)).row(f"CatToIntTransformer.transform, {shape} / pandas category codes", 1.3)
    yield compare(ours, timed(a_dictionary_a_cell)).row("the same / a dictionary look-up a cell", 1 / 8)


def predicting() -> Iterator[str]:
    """The pipeline over its bare booster for many rows, the registered wrapper over the bare pipeline for one."""
    import mlflow

    from marvel_assets.tracking.mlflow_store import connect

    with tempfile.TemporaryDirectory() as folder, fresh_home(ROWS) as (home, environment):
        in_a_child(MARVEL_RUN, environment)
        connect(home.mlflow_uri, home.locks)
        wrapper = mlflow.pyfunc.load_model(
            "models:/marvel_dev.marvel_characters.marvel_character_model_custom@latest-model", dst_path=folder
        )
        pipeline = wrapper.unwrap_python_model().model
        rows = training_rows(home, list(pipeline.feature_names_in_), copies=2).head(TO_PREDICT)
        classify = pipeline[-1]
        matrix = pipeline[:-1].transform(rows)
        many = compare(
            timed(lambda: pipeline.predict_proba(rows)),
            timed(lambda: classify.booster_.predict(matrix, num_threads=classify.n_jobs)),
        )
        yield many.row(
            f"pipeline.predict_proba, {len(rows):,} rows / booster.predict on the encoded matrix, as many threads", 1.15
        )

        one = rows.iloc[[0]].reset_index(drop=True)
        assert wrapper.predict(one)["Survival prediction"]  # noqa: S101
        single = Comparison()
        for _ in range(5):
            single.floor.append(_p99(lambda: pipeline.predict(one)))
            single.ours.append(_p99(lambda: wrapper.predict(one)))
        yield single.row("wrapper.predict, one row, p99 / the bare pipeline's", 1.3)


def _p99(call: Callable[[], object]) -> float:
    taken = []
    for _ in range(ONE_ROW_CALLS):
        started = time.perf_counter()
        call()
        taken.append(time.perf_counter() - started)
    return float(np.percentile(taken, PERCENTILE))
