"""Characters with wrong training labels: the more, the worse the model that is fitted on them."""

import hashlib
from pathlib import Path

import numpy as np
import pandas as pd

from marvel_assets.datasets.marvel_kaggle.generator import generate
from marvel_assets_tests.kaggle import TEST_HASH_BOUND

ROWS = 4000
SEED = 7


def spoilt_characters(folder: Path, share: float, rows: int = ROWS) -> Path:
    """A CSV file of generated characters, of whose training rows this share has the other label.

    The test rows are the same for every share, so that models can be compared.
    """
    characters = generate(rows, SEED)
    digests = characters["PageID"].map(lambda name: hashlib.md5(str(name).encode()).hexdigest())
    drawn = np.random.default_rng(SEED).random(len(characters)) < share
    flipped: pd.Series = characters["Alive"].replace({"Alive": "Dead", "Dead": "Alive"})
    characters["Alive"] = characters["Alive"].mask((digests >= TEST_HASH_BOUND) & drawn, flipped)
    file = folder / f"spoilt_{share:g}.csv"
    characters.to_csv(file, index=False)
    return file
