"""A Dagster asset graph that predicts whether a Marvel character is alive."""

import os

# OpenMP's threads, LightGBM's and scikit-learn's, wait for each other by spinning, which collapses where another
# process wants the same cores. libgomp reads the bound when it is loaded, so it has to be set before they are imported.
os.environ.setdefault("GOMP_SPINCOUNT", "500")
