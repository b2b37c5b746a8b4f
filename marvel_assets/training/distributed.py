"""One fit by several processes: ``lightgbm.dask``, with rows that are read and encoded where they are fitted.

No process holds all rows. Each reads its part, counts the categories that it finds there and encodes it by them; the
counts are added up to the one encoder that a fit in a single process would have, and the codes are put right. The trees
are LightGBM's data-parallel ones: every process has the same tree, histograms of the parts are added up.
"""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from operator import attrgetter
from typing import TYPE_CHECKING, Any, NamedTuple

from marvel_assets.training.dataset import RowsSum, rows_digest, sum_of_rows, to_frame

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy as np
    import numpy.typing as npt
    import pandas as pd
    from distributed import Client, Future
    from lightgbm import LGBMClassifier
    from sklearn.pipeline import Pipeline

    from marvel_assets.model.encoder import CatToIntTransformer
    from marvel_assets.storage.table_scan import TableScan

    Matrix = npt.NDArray[np.float64]

NETWORK_LINES = re.compile(
    r"^\[(?:machines|num_machines|local_listen_port|num_threads|tree_learner): .*\]\n", re.MULTILINE
)
"""Lines of a model's text about the processes that fitted it; prediction has no use for them."""


class DistributedFit(NamedTuple):
    """The fitted pipeline, with the number and the digest of the rows that it was fitted on."""

    pipeline: Pipeline
    rows: int
    rows_digest: str


class PartSummary(NamedTuple):
    """What the fit has to know of a part without having its rows.

    Attributes:
        counts: of each encoded column, the categories found here, in the order of their codes, each with its frequency.
        classes: of the target.
        rows_sum: for the digest of all rows.
        no_rows: the features' names and types.
    """

    counts: dict[str, dict[Any, int]]
    classes: list[int]
    rows_sum: RowsSum
    no_rows: pd.DataFrame


class EncodedPart(NamedTuple):
    """The rows of one worker, encoded by an encoder that knows these rows alone; ``summary`` leaves the worker."""

    matrix: Matrix
    target: npt.NDArray[np.int32]
    summary: PartSummary


def fit_on_workers(
    client: Client,
    workers: Sequence[str],
    parts: Sequence[TableScan],
    pipeline: Pipeline,
    features: Sequence[str],
    target: str,
) -> DistributedFit:
    """Fit a pipeline of ``build_pipeline``, each part on the worker of the same place.

    The fit is the same, bit for bit, for the same parts in the same order, wherever the workers are.

    Args:
        client: an ``OrderedClient`` of the Dask cluster.
        workers: addresses.
        parts: what each of them reads.
        pipeline: unfitted.
        features: its columns, in order.
        target: the column to learn.

    Raises:
        ValueError: a part has no rows, or only rows with one and the same target.
    """
    encoder: CatToIntTransformer = pipeline.named_steps["encode"]
    encoded = [
        client.submit(encode_part, part, pipeline, features, target, workers=[worker], pure=False)
        for worker, part in zip(workers, parts, strict=True)
    ]
    summaries: list[PartSummary] = client.gather(client.map(attrgetter("summary"), encoded, pure=False))
    _check_classes(summaries, target)
    pipeline.named_steps["coerce"].fit(summaries[0].no_rows)
    counts: defaultdict[str, Counter[Any]] = defaultdict(Counter)
    for summary in summaries:
        for name, found in summary.counts.items():
            counts[name].update(found)
    encoder.fit_counts(features, counts)
    matrices = [
        client.submit(recoded, part, features, encoder, workers=[worker], pure=False)
        for worker, part in zip(workers, encoded, strict=True)
    ]
    targets = client.map(attrgetter("target"), encoded, pure=False)
    client.gather(client.map(len, [*matrices, *targets], pure=False))  # computed, or failed, before LightGBM asks
    del encoded
    classifier = pipeline.named_steps["classify"]
    fitted = _fitted_classifier(client, classifier, matrices, targets, summaries, features)
    pipeline.steps[-1] = ("classify", fitted)
    sums = [summary.rows_sum for summary in summaries]
    return DistributedFit(pipeline, sum(part.rows for part in sums), rows_digest(sums))


def encode_part(part: TableScan, pipeline: Pipeline, features: Sequence[str], target: str) -> EncodedPart:
    """Read a part and encode it by the categories that are in it. Runs on the worker."""
    import numpy as np
    from sklearn.base import clone

    frame = to_frame(part.read(), features, target)
    no_rows, counts, matrix = frame.head(0)[list(features)], {}, np.empty((0, len(features)))
    if not frame.empty:
        prepare = clone(pipeline[:-1]).set_params(encode__min_frequency=None)
        encoded = prepare.fit_transform(frame[list(features)])
        counts = {
            name: dict(zip(categories, np.bincount(encoded[name][encoded[name] >= 0]).tolist(), strict=True))
            for name, categories in prepare[-1].categories_.items()
        }
        matrix = encoded.to_numpy(np.float64)
    alive = frame[target].to_numpy(np.int32)
    return EncodedPart(matrix, alive, PartSummary(counts, np.unique(alive).tolist(), sum_of_rows(frame), no_rows))


def recoded(part: EncodedPart, features: Sequence[str], encoder: CatToIntTransformer) -> Matrix:
    """The part's matrix by the codes that all parts share. Runs on the worker."""
    import numpy as np

    matrix = part.matrix.copy()
    for name, counts in part.summary.counts.items():
        # The last entry is the one that -1, a missing cell, picks.
        codes = np.array([*encoder.codes_of(list(counts), name), -1], dtype=np.float64)
        column = list(features).index(name)
        matrix[:, column] = codes[part.matrix[:, column].astype(np.intp)]
    return matrix


def _fitted_classifier(
    client: Client,
    classifier: LGBMClassifier,
    matrices: Sequence[Future],
    targets: Sequence[Future],
    summaries: Sequence[PartSummary],
    features: Sequence[str],
) -> LGBMClassifier:
    import dask.array as da
    import numpy as np
    from lightgbm import DaskLGBMClassifier

    rows = [summary.rows_sum.rows for summary in summaries]
    matrix = da.concatenate(
        [da.from_delayed(part, (count, len(features)), np.float64) for part, count in zip(matrices, rows, strict=True)]
    )
    target = da.concatenate(
        [da.from_delayed(part, (count,), np.int32) for part, count in zip(targets, rows, strict=True)]
    )
    parameters = classifier.get_params()
    del parameters["n_jobs"]  # each worker has as many threads as the cluster gave it
    distributed = DaskLGBMClassifier(**parameters, client=client)
    with client.as_current():  # LightGBM waits for the parts by whichever client is the current one
        distributed.fit(matrix, target, feature_name=list(features))
    return _alone(distributed.to_local(), classifier)


def _alone(fitted: LGBMClassifier, unfitted: LGBMClassifier) -> LGBMClassifier:
    """The classifier as one process would have fitted it, without workers and their addresses."""
    from lightgbm import Booster
    from sklearn.base import clone

    alone: LGBMClassifier = clone(unfitted)
    learned = {name: value for name, value in vars(fitted).items() if name.startswith("_") or name.endswith("_")}
    del learned["_other_params"]  # with those of the network
    for name, value in learned.items():
        setattr(alone, name, value)
    alone._Booster = Booster(model_str=NETWORK_LINES.sub("", fitted.booster_.model_to_string()))  # noqa: SLF001
    return alone


def _check_classes(summaries: Sequence[PartSummary], target: str) -> None:
    """LightGBM numbers the classes in each process for itself: one that saw the second class alone calls it the first.

    Raises:
        ValueError: naming the first part in which not all classes are.
    """
    everywhere = sorted({value for summary in summaries for value in summary.classes})
    for place, summary in enumerate(summaries, start=1):
        if summary.classes != everywhere or len(everywhere) < 2:  # noqa: PLR2004
            raise ValueError(
                f"column {target}: each worker needs rows of both classes; the part of worker {place} of "
                f"{len(summaries)} has {summary.rows_sum.rows:,} rows with {target} in {summary.classes}. Fit with "
                "fewer workers, or in one process (no `distribution`)."
            )
